"""The commands that make a report again from the run directory and the data."""

import shlex
from collections.abc import Mapping
from typing import Any

from overmem import store
from overmem.records import Limits, Verdict
from overmem.records.plan import CALLBACK

_AUDIT = (
    *("data", "base", "rows", "side_rows", "shifts", "attacks", "probes", "checkpoints", "splits", "draws"),
    *("temperature", "max_new_tokens", "template", "tokenizer", "engine", "run_code", "dtype", "seed"),
)
"""Options of `audit` that decide what is measured, in the order of its help. A budget has become rows by then."""
_DIAGNOSE = (
    *("d_nll", "margin", "accuracy", "alpha", "same_distribution", "eval_rows", "nll_metric", "accuracy_metric"),
    *("lower_is_better", "log_run", "eval_set", "seed"),
)
_DEFAULTS = {
    "engine": "hf",
    "margin": Limits().margin,
    "alpha": Limits().alpha,
    "accuracy": "greedy",
    "same_distribution": "check",
}


def commands_of(run: store.Run, plan: Mapping[str, Any], verdict: Verdict) -> tuple[str, ...]:
    """The commands, in order.

    Args:
        run: the run.
        plan: the plan of its audit; empty if only its logs were read.
        verdict: the verdict on the run.
    """
    out = () if run.home == run.root / store.HOME else ("--out", str(run.home))
    verdict_options = _arguments(verdict.knobs, _DIAGNOSE)
    options: Mapping[str, Any] = plan.get("options", {})
    commands = []
    if plan and options.get("by") != CALLBACK:
        commands.append(["audit", str(run.root), *_arguments(options, _AUDIT), *out])
    if not plan:
        log = verdict.knobs.get("log")
        commands.append(["diagnose", str(run.root / log if log else run.root), *verdict_options, "--save", *out])
    elif verdict_options or not commands:
        commands.append(["diagnose", str(run.root), *verdict_options, *out])
    commands.append(["report", str(run.root), *out])
    return tuple(shlex.join(["overmem", *command]) for command in commands)


def _arguments(options: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """The options that differ from their defaults, as arguments of a command."""
    arguments: list[str] = []
    for name in names:
        value = options.get(name)
        if not value or value == _DEFAULTS.get(name):
            continue
        values = [] if value is True else value if isinstance(value, list | tuple) else [value]
        # A line break would split the command; templates are read with the two characters as well.
        arguments += [f"--{name.replace('_', '-')}", *(str(v).replace("\n", "\\n") for v in values)]
    return arguments
