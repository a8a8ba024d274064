"""What the reader must know before believing the rest of a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from overmem.records import Estimate, Measurement
from overmem.records.plan import Stopping
from overmem.verdict.assess import Assessment
from overmem.wording.mismatch import not_compared
from overmem.wording.numbers import capital, format_interval, format_n, parenthetical
from overmem.wording.stopping import stopping_sentence

BLIND = 0.5
"""A limit that is more than this share of the nll itself cannot be relied on to see it rise."""

TRUNCATED = 0.02
"""Share of answers that ran into the length limit from which there is a warning."""


@dataclass(frozen=True, kw_only=True)
class AuditContext:
    """How a run was audited, as far as a reader of its verdict must know."""

    selected_on: str = "val"
    """Split that checkpoints were judged on."""
    not_on_disk: Sequence[str] = ()
    """Checkpoints that were audited and have been deleted since."""
    carved_splits: Sequence[str] = ()
    """Splits carved out of training rows which the run may have been trained on."""
    truncated: Sequence[Measurement] = ()
    """Shares of answers that ran into the length limit."""
    max_new_tokens: int | None = None
    """The requested length limit."""
    stopping: Stopping | None = None
    """Why no more questions were asked, where the audit stopped when it knew."""


def caveats(assessment: Assessment, context: AuditContext) -> tuple[str, ...]:
    """Warnings, a sentence each."""
    warnings = []
    if context.carved_splits:
        splits, verb = " and ".join(context.carved_splits), "were" if len(context.carved_splits) > 1 else "was"
        warnings.append(
            f"{capital(splits)} {verb} cut out of the training rows of the data that was given: if the run was trained "
            "on those too, nothing was held out, and none of this holds."
        )
    if unsure := not_compared(assessment.mismatch, assessment.limits):
        warnings.append(unsure)
    if context.stopping is not None:
        warnings.append(stopping_sentence(context.stopping, assessment.limits.alpha))
    warnings += _truncated(context.truncated, context.max_new_tokens)
    if context.selected_on != "val":
        warnings.append("There is no val split: checkpoints were judged and chosen on test, which flatters the choice.")
    elif not assessment.is_confirmed:
        warnings.append("There is no test split: the choice was not confirmed on other examples.")
    if context.not_on_disk:
        warnings.append(f"Audited, but no longer on disk, so not recommended: {', '.join(context.not_on_disk)}.")
    warnings += _not_judged(assessment)
    warnings += _blind(assessment)
    if assessment.over_base is not None and assessment.recommended is not None:
        warnings += _no_better(assessment, assessment.over_base)
    return tuple(warnings)


def _not_judged(assessment: Assessment) -> list[str]:
    missing = [v.checkpoint.name for v in assessment.verdicts if not v.is_judged]
    if not missing:
        return []
    if all(v.accuracy.value is None for v in assessment.verdicts):
        return [
            "No answers were measured, and perplexity alone cannot tell over-memorization from over-fitting, so no "
            "checkpoint is judged; perplexity, membership and memorization are measured all the same."
        ]
    return [f"Not judged, because something was not measured there: {', '.join(missing)}."]


def _truncated(shares: Sequence[Measurement], limit: int | None) -> list[str]:
    """Where answers were truncated, at the trained checkpoint with the most of them."""
    notable = [(m.value, m) for m in shares if m.step > 0 and m.value is not None and m.value > TRUNCATED]
    if not notable:
        return []
    share, worst = max(notable, key=lambda pair: pair[0])
    option = "" if limit is None else f"--max-new-tokens {limit}"
    shown = parenthetical(format_interval(worst.low, worst.high, ".1f", 100), format_n(worst.n), option)
    return [
        f"{100 * share:.1f}% of the answers at {worst.checkpoint} on {worst.split} ran into the length limit{shown} "
        "and were read as far as they came, which can look like lost accuracy; audit with a larger --max-new-tokens "
        "(a model that has not learned to stop runs into any)."
    ]


def _blind(assessment: Assessment) -> list[str]:
    """Where the solutions are so predictable that the limit is most of their nll; and what it does not see then."""
    d_nll = assessment.limits.absolute
    lowest = min((v.nll.value for v in assessment.verdicts if v.nll.value is not None), default=None)
    if not lowest or d_nll <= BLIND * lowest:
        return []
    text = (
        f"The solutions are predictable ({lowest:.3f} nats per token at the minimum), so a limit of {d_nll:.2g} lets "
        f"their nll rise by {100 * d_nll / lowest:.0f}% before that is called costly; judge with a lower --d-nll."
    )
    last = assessment.trained[-1] if assessment.trained else None
    excess = Estimate(None) if last is None else last.excess
    is_shown = excess.low is not None and excess.low > 0
    if last is not None and excess.value is not None and is_shown and excess.value < d_nll:
        shown = parenthetical(format_interval(excess.low, excess.high), format_n(excess.n))
        text += f" At {last.checkpoint.name} it has risen by {excess.value:.3f}{shown}."
    return [text]


def _no_better(assessment: Assessment, gain: Estimate) -> list[str]:
    """Where the checkpoint to ship is more accurate than the base model, but not shown to be."""
    if gain.value is None or gain.low is None or gain.low > 0:
        return []
    shown = parenthetical(format_interval(gain.low, gain.high, "+.1f", 100), format_n(gain.n))
    size = f"{100 * gain.value:+.1f} points on {'test' if assessment.is_confirmed else 'val'}{shown}"
    return [f"{assessment.best_of_run} is not shown to be more accurate than the base model: {size}."]
