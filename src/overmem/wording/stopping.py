"""How many questions `audit --until decided` evaluated, and why it stopped."""

from overmem.records.plan import Stopping


def stopping_sentence(stopping: Stopping, level: float | None = None) -> str:
    """The sentence, with the level of each test if it is given."""
    decided = f"the end of the run is {stopping.regime}"
    why = decided if stopping.regime != "undecided" else "the end of the run is undecided even after all of them"
    looks = "1 look" if stopping.looks == 1 else f"{stopping.looks} looks"
    text = f"{stopping.asked:,} of {stopping.planned:,} questions of val were evaluated, in {looks}: {why}."
    if stopping.dropped:
        listed = ", ".join(f"{name} after {n:,}" for name, n in stopping.dropped.items())
        text += f" Dropped, because a later checkpoint was shown to be more accurate: {listed}."
    if level is not None:
        text += (
            f" Each test is at level {level:.2g}, so that the error rate of all looks together is {stopping.alpha:g}."
        )
    return text
