"""Whether val and train come from one distribution, in sentences."""

from overmem.records import Limits
from overmem.verdict.mismatch import UNLIKE, Mismatch
from overmem.wording.numbers import format_interval, parenthetical


def mismatch_sentence(shift: Mismatch, limits: Limits) -> str:
    """Why a rise of perplexity is not called memorization; empty where val and train are not shown to differ."""
    if not shift.differs:
        return ""
    gap, checkpoint, blind = shift.gap, shift.checkpoint, shift.blind
    if blind.value is not None and blind.low is not None and blind.low > UNLIKE:
        shown = parenthetical(f"AUROC {blind.value:.2f}, {format_interval(blind.low, blind.high, '.2f')}")
        return (
            "Val and train are not one distribution: the words of a solution alone, without any model, tell whether it "
            f"is a training row{shown}. Memorization cannot be distinguished from that difference, so a rise of "
            "perplexity is not called memorization."
        )
    if checkpoint is None or gap.value is None:
        return (
            "You declared that val does not come from the distribution of the training rows, so a rise of its "
            "perplexity is not called memorization."
        )
    where = "the base model" if checkpoint.step == 0 else checkpoint.name
    side = "higher" if gap.value > 0 else "lower"
    shown = parenthetical(f"{format_interval(gap.low, gap.high, '+.3f')}; limit {limits.absolute:.2g}")
    return (
        f"Val and train are not one distribution: at {where}, before anything was memorized, the nll of val is "
        f"{abs(gap.value):.3f} nats per token {side} than that of train{shown}. A rise of perplexity can then come "
        "from that difference, so it is not called memorization."
    )


def not_compared(shift: Mismatch, limits: Limits) -> str:
    """That val and train could not be compared, or not well enough to call them one distribution; else empty."""
    if shift.differs is None:
        return f"Train and val could not be compared: {shift.note}."
    gap, checkpoint = shift.gap, shift.checkpoint
    if shift.differs or checkpoint is None or gap.value is None or gap.low is None or gap.high is None:
        return ""
    if -limits.absolute < gap.low and gap.high < limits.absolute:
        return ""
    where = "the base model" if checkpoint.step == 0 else checkpoint.name
    shown = format_interval(gap.low, gap.high, "+.3f")
    return (
        f"Whether val and train are one distribution is uncertain: at {where} their nll differs by {gap.value:+.3f} "
        f"nats per token ({shown}, n = {gap.n:,}), too few rows to exclude {limits.absolute:.2g}."
    )
