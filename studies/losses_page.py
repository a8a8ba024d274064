"""The page of the loss study: levels over seeds, differences from cross-entropy, and what can be concluded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.special import stdtr, stdtrit

from overmem import statistics
from overmem.records import Estimate
from studies.losses import METRICS, Outcome, against, level
from studies.page import table

PLACES = {"recommended": "At the checkpoint recommended on val", "last": "At the end of the budget"}
PLAIN = "nll"


def page(results: Mapping[str, Any]) -> str:
    """The page, from what `study` returns (or its JSON)."""
    outcomes = [Outcome(**o) for o in results["outcomes"]]
    arms = list(results["tuning"])
    seeds = sorted({o.seed for o in outcomes})
    text = Path(__file__).with_name("losses.template.md").read_text(encoding="utf-8")
    budget = results["budget"]
    parts = {
        "budget": ", ".join(f"{name} {value:g}" for name, value in budget.items()),
        "seeds": ", ".join(map(str, seeds)),
        "arms": str(len(arms)),
        "n_test": str(budget["test"]),
        "n_side": str(budget["side"]),
        "tuning": tuning_table(results["tuning"]),
        "regimes": regime_table(outcomes, arms),
        "conclusions": "\n".join(f"- {line}" for line in conclusions(outcomes, arms)),
    }
    for place in PLACES:
        parts[f"levels_{place}"] = level_table(outcomes, arms, place)
        parts[f"differences_{place}"] = difference_table(outcomes, arms, place)
    for name, value in parts.items():
        text = text.replace("{" + name + "}", value)
    return text


def at(outcomes: Sequence[Outcome], arm: str, place: str) -> list[Outcome]:
    """The runs of an arm at one place, by seed."""
    return sorted((o for o in outcomes if o.arm == arm and o.place == place), key=lambda o: o.seed)


def shown(estimate: Estimate, signed: bool = False) -> str:
    """A value with its interval."""
    if estimate.value is None:
        return estimate.note
    sign = "+" if signed else ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{sign}.3f}"
    return f"{estimate.value:{sign}.3f} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"


def p_value(estimate: Estimate) -> float | None:
    """Two-sided p of a mean over seeds from its Student interval; None where there is none."""
    if estimate.value is None or estimate.low is None or estimate.high is None or estimate.n < 2:
        return None
    stderr = (estimate.high - estimate.low) / 2 / float(stdtrit(estimate.n - 1, 0.975))
    return float(2 * stdtr(estimate.n - 1, -abs(estimate.value) / stderr)) if stderr > 0 else None


def tuning_table(tuning: Mapping[str, Mapping[str, float]]) -> str:
    """Best val accuracy of each arm at each learning rate; the chosen one in bold."""
    rates = list(next(iter(tuning.values())))
    rows = []
    for arm, scores in tuning.items():
        best = max(scores.values())
        rows.append([arm, *(f"**{scores[r]:.3f}**" if scores[r] == best else f"{scores[r]:.3f}" for r in rates)])
    return table(["loss", *(f"lr {r}" for r in rates)], rows)


def level_table(outcomes: Sequence[Outcome], arms: Sequence[str], place: str) -> str:
    """Every metric of every arm, the mean over seeds."""
    rows = []
    for arm in arms:
        mine = at(outcomes, arm, place)
        epochs = ", ".join(f"{o.epoch:g}" for o in mine)
        rows.append([arm, f"{mine[0].rate:g}", epochs, *(shown(level(mine, metric)) for metric in METRICS)])
    return table(["loss", "lr", "epochs of the seeds", *METRICS], rows)


def differences(
    outcomes: Sequence[Outcome], arms: Sequence[str], place: str
) -> dict[tuple[str, str], tuple[Estimate, float | None]]:
    """(arm, metric) -> difference from plain cross-entropy and its p, Holm-adjusted over the arms of a metric."""
    result: dict[tuple[str, str], tuple[Estimate, float | None]] = {}
    others = [arm for arm in arms if arm != PLAIN]
    for metric in METRICS:
        all_differences = [against(at(outcomes, arm, place), at(outcomes, PLAIN, place), metric) for arm in others]
        adjusted = statistics.holm([p_value(e) for e in all_differences])
        pairs = zip(all_differences, adjusted, strict=True)
        result |= {(arm, metric): pair for arm, pair in zip(others, pairs, strict=True)}
    return result


def difference_table(outcomes: Sequence[Outcome], arms: Sequence[str], place: str) -> str:
    """Differences from plain cross-entropy; those significant after Holm's correction in bold."""
    all_differences = differences(outcomes, arms, place)
    rows = []
    for arm in arms:
        if arm == PLAIN:
            continue
        cells = [all_differences[arm, metric] for metric in METRICS]
        rows.append(
            [arm, *(f"**{shown(e, True)}**" if p is not None and p < 0.05 else shown(e, True) for e, p in cells)]
        )
    return table(["loss", *METRICS], rows)


def regime_table(outcomes: Sequence[Outcome], arms: Sequence[str]) -> str:
    """What the rule calls the last checkpoint, seed by seed."""
    rows = [[arm, *(o.regime for o in at(outcomes, arm, "last"))] for arm in arms]
    return table(["loss", *(f"seed {o.seed}" for o in at(outcomes, arms[0], "last"))], rows)


def conclusions(outcomes: Sequence[Outcome], arms: Sequence[str]) -> list[str]:
    """A sentence for each difference that is significant after Holm's correction, and the number of others."""
    lines = []
    for place, where in PLACES.items():
        all_differences = differences(outcomes, arms, place)
        shown_differences = [
            (arm, metric, e) for (arm, metric), (e, p) in all_differences.items() if p is not None and p < 0.05
        ]
        not_shown = len(all_differences) - len(shown_differences)
        lines += [f"{where}, {arm}: {metric} {shown(e, True)} against nll." for arm, metric, e in shown_differences]
        lines.append(f"{where}, {not_shown} of {len(all_differences)} differences from nll are not shown.")
    return lines
