"""The verbs of the command: operands, summaries, modules and examples."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb of the command."""

    operands: tuple[str, ...]
    """Positional arguments, as in the usage line."""
    summary: str
    module: str
    """Module of its `run(arguments) -> exit code`; imported when the verb is called, so that --help is fast."""
    examples: tuple[str, ...]
    """Example commands at the end of --help."""


VERBS = {
    "demo": Verb(
        (),
        "train a small model for too long, then audit, diagnose, merge and report, in minutes",
        "demo",
        ("overmem demo", "overmem demo --output runs/long --epochs 30"),
    ),
    "train": Verb(
        ("RECIPE.yaml",),
        "fine-tune by a recipe, saving checkpoints",
        "train",
        ("overmem train recipe.yaml", "overmem train recipe.yaml --loss mar --learning-rate 1e-4"),
    ),
    "audit": Verb(
        ("RUN...",),
        "measure every checkpoint of a run, judge the run and write the report",
        "audit",
        (
            "overmem audit runs/mine --data problems/ --dry-run",
            "overmem audit runs/mine --data gsm8k --budget 30m",
            "overmem audit runs/mine --shifts preamble typos --draws 8",
        ),
    ),
    "worker": Verb(
        ("RUN",),
        "process units of an audit's queue, alongside other workers on this or other machines",
        "worker",
        ("overmem worker runs/mine", "overmem worker runs/mine --device cuda:1", "overmem worker runs/mine --finish"),
    ),
    "watch": Verb(
        ("RUN",),
        "audit and judge checkpoints while another process trains them",
        "watch",
        ("overmem watch runs/mine --data problems/", "overmem watch runs/mine --data gsm8k --device cuda:7 --idle 2h"),
    ),
    "diagnose": Verb(
        ("RUN",),
        "judge a run from its audit, or else from its trainer's logs",
        "diagnose",
        (
            "overmem diagnose runs/mine",
            "overmem diagnose trainer_state.json --eval-rows 500 --accuracy-metric eval_f1",
            "overmem diagnose runs/mine --fail-on over-memorized",
        ),
    ),
    "sweep": Verb(
        ("SWEEP",),
        "train and judge many runs that differ in a few keys, over seeds",
        "sweep",
        ("overmem sweep learning_rate.yaml --dry-run", "overmem sweep learning_rate.yaml"),
    ),
    "merge": Verb(
        ("RUN",),
        "merge several checkpoints into one, or search for the best merge",
        "merge",
        (
            "overmem merge runs/mine",
            "overmem merge runs/mine --checkpoints checkpoint-50 checkpoint-100 --rule ties",
            "overmem merge runs/mine --search --minutes 20",
        ),
    ),
    "report": Verb(
        ("RUN",),
        "write the report: the verdict as one HTML page",
        "report",
        ("overmem report runs/mine", "overmem report runs/mine --figures figures/"),
    ),
    "view": Verb(
        ("RUN...",),
        "browse every observed example, also while an audit is running",
        "view",
        ("overmem view runs/mine", "overmem view runs/a runs/b --port 9000"),
    ),
    "import": Verb(
        ("HARNESS", "LOG..."),
        "import evaluation logs of other harnesses into a run",
        "importing",
        (
            "overmem import lm-eval results/step-*/ --run runs/mine --task gsm8k",
            "overmem import inspect logs/step-100.eval logs/step-200.eval --run runs/mine --split val",
        ),
    ),
    "export": Verb(
        ("RUN",),
        "write a run's completions as logs for Inspect View",
        "exporting",
        ("overmem export runs/mine --output logs", "overmem export runs/mine --checkpoints base --splits test"),
    ),
    "compare": Verb(
        ("RUN_A", "RUN_B"),
        "compare two runs at matched accuracy and different perplexity",
        "compare",
        (
            "overmem compare runs/nll runs/mar --report compared.html",
            "overmem compare a-0 b-0 --seeds-a a-1 a-2 --seeds-b b-1 b-2",
        ),
    ),
    "card": Verb(
        ("RUN",),
        "write the verdict as part of a Hugging Face model card",
        "card",
        ("overmem card runs/mine", "overmem card runs/mine --output card.md"),
    ),
    "env": Verb((), "print versions and devices for a bug report", "env", ("overmem env", "overmem env --json")),
}
