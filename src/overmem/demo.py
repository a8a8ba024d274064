"""The whole story on the embedded model: fine-tune too long, measure, judge, merge, measure again, draw."""

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
    """See over-memorization happen, in minutes, on two cores."""

    output: str = "runs/demo"
    """Run directory. A demo that was stopped goes on with the step that it was in: only training begins anew."""
    epochs: float = 20.0
    """Passes over the training rows; the later ones are the ones too many."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    train: int = 400
    """Training problems."""
    evaluate: int = 500
    """Problems in val and in test."""
    seed: int = 0
    """Of the problems, the data order and the verdict's bootstrap."""


def recipe(config: Demo) -> Recipe:
    """The fine-tune that the demo makes, with a checkpoint every other epoch."""
    batch_size = 16
    steps_per_epoch = -(-config.train // batch_size)
    return Recipe(
        output=config.output,
        data=Data(train=config.train, val=config.evaluate, test=config.evaluate, seed=config.seed),
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
    tell: Callable[[str, str], None],
    say: Callable[[str], None],
    progress: Callable[[], Progress],
    show: Callable[["store.Run", "Verdict"], None],
) -> Path:
    """Run the demo and return the report's path.

    Args:
        config: sizes and seed.
        tell: told before each step why it is done, and the command that does it alone.
        say: told in words what happens.
        progress: makes the progress function of one step.
        show: shows a verdict.
    """
    from overmem.audit import audit  # these load torch, which the options do not need
    from overmem.diagnose import diagnose
    from overmem.merging.verb import merge
    from overmem.training.verb import train

    run = config.output
    tell(
        "Fine-tune a small language model on word problems with worked solutions, for too long. Every second epoch "
        "leaves a checkpoint.",
        f"overmem train {run}/overmem/recipe.yaml",
    )
    where = train(recipe(config), say=say, progress=progress())
    tell(
        "Observe every checkpoint: score the reference solutions, and let it solve the problems itself.",
        f"overmem audit {run} --rows {config.evaluate}",
    )
    asked = Audit(run, rows=config.evaluate, token_budget=65536)
    audit(asked, say=say, progress=progress())
    tell(
        "Judge: which checkpoints are healthy, since when is the model over-memorized, which to ship?",
        f"overmem diagnose {run}",
    )
    judge = Diagnose(config.output, seed=config.seed)
    verdict = diagnose(judge)
    show(where, verdict)
    if verdict.recommended is not None and verdict.recommended.checkpoint is not None:
        last = verdict.checkpoints[-1].checkpoint.name
        if verdict.recommended.checkpoint != last:
            tell(
                "Repair: merge the recommended checkpoint with the last one, half and half, and measure the merge like "
                "any checkpoint.",
                f"overmem merge {run} && overmem audit {run} --rows {config.evaluate}",
            )
            folder = merge(Merge(run, checkpoints=(verdict.recommended.checkpoint, last)), progress=progress())
            say(f"written: {folder}")
            audit(asked, say=say, progress=progress())
            for sentence in diagnose(judge).sentences:
                if folder.name in sentence:
                    say(sentence)
    tell("Draw it.", f"overmem report {run}")
    return report(Report(run))
