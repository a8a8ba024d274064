"""The demo on the embedded model: fine-tune for too long, audit, diagnose, merge, audit the merge, report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from overmem.audit.options import Audit
from overmem.diagnose.options import Diagnose
from overmem.merging.options import Merge
from overmem.report import Report, report
from overmem.tasks.data import Data
from overmem.training.recipe import Recipe

if TYPE_CHECKING:
    from overmem import store
    from overmem.records import Verdict

Progress: TypeAlias = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Demo:
    """Train a small model for too long and see over-memorization, in minutes on two cores."""

    output: str = "runs/demo"
    """Run directory. An interrupted demo resumes with the step that was interrupted; only training starts over."""
    epochs: float = 16.0
    """Training epochs, more than the model needs."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    train: int = 400
    """Number of training problems."""
    evaluate: int = 500
    """Number of problems in val and in test, each."""
    seed: int = 0
    """Seed of the problems, the data order and the verdict's bootstrap."""


def recipe(config: Demo) -> Recipe:
    """The demo's fine-tuning recipe, with a checkpoint every two epochs."""
    batch_size = 16
    steps_per_epoch = -(-config.train // batch_size)
    return Recipe(
        output=config.output,
        data=Data("one-step-back", train=config.train, val=config.evaluate, test=config.evaluate, seed=config.seed),
        learning_rate=config.learning_rate,
        epochs=config.epochs,
        batch_size=batch_size,
        save=2 * steps_per_epoch,
        observe_rows=0,
        seed=config.seed,
        trainer={"logging_steps": steps_per_epoch, "save_only_model": True},
    )


def demo(
    config: Demo,
    *,
    announce: Callable[[str, str], None],
    say: Callable[[str], None],
    progress: Callable[[], Progress],
    show: Callable[["store.Run", "Verdict"], None],
) -> Path:
    """Run the demo and return the report's path.

    Args:
        config: sizes and seed.
        announce: called before each step with a description and the command for only that step.
        say: called with each message.
        progress: returns a progress function for the next step.
        show: called with the run and its verdict.
    """
    from overmem.audit import audit  # loads torch, which the options do not need
    from overmem.diagnose import diagnose
    from overmem.merging.verb import merge
    from overmem.training.verb import train

    run = config.output
    announce(
        "Fine-tune a small language model for too long, with a checkpoint every two epochs. It can solve word "
        "problems; here it is asked for the count one step before the end, which is new to it.",
        f"overmem train {run}/overmem/recipe.yaml",
    )
    trained = train(recipe(config), say=say, progress=progress())
    announce(
        "Audit every checkpoint: score the reference solutions and sample completions.",
        f"overmem audit {run} --rows {config.evaluate}",
    )
    audit_options = Audit(run, rows=config.evaluate, token_budget=65536)
    audit(audit_options, say=say, progress=progress())
    announce(
        "Diagnose: which checkpoints are healthy, when does over-memorization begin, and which checkpoint to ship?",
        f"overmem diagnose {run}",
    )
    diagnose_options = Diagnose(config.output, seed=config.seed)
    verdict = diagnose(diagnose_options)
    show(trained, verdict)
    if verdict.recommended is not None and verdict.recommended.checkpoint is not None:
        last = verdict.checkpoints[-1].checkpoint.name
        if verdict.recommended.checkpoint != last:
            announce(
                "Repair: merge the recommended checkpoint with the last one in equal parts, and audit the merge like "
                "any other checkpoint.",
                f"overmem merge {run} && overmem audit {run} --rows {config.evaluate}",
            )
            folder = merge(Merge(run, checkpoints=(verdict.recommended.checkpoint, last)), progress=progress())
            say(f"written: {folder}")
            audit(audit_options, say=say, progress=progress())
            for sentence in diagnose(diagnose_options).sentences:
                if folder.name in sentence:
                    say(sentence)
    announce("Write the report.", f"overmem report {run}")
    return report(Report(run))
