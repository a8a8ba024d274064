"""How many questions an audit asked that stops when it knows, and why no more."""

from overmem.records.plan import Stopping


def stopping_sentence(stopping: Stopping, level: float | None = None) -> str:
    """The sentence; with the level of each test where the verdict is told."""
    end = f"the end of the run is {stopping.regime}"
    why = end if stopping.regime != "undecided" else "all of them did not decide the end of the run"
    looks = "1 look" if stopping.looks == 1 else f"{stopping.looks} looks"
    text = f"{stopping.asked:,} of {stopping.planned:,} questions of val were asked, in {looks}: {why}."
    if stopping.dropped:
        listed = ", ".join(f"{name} after {n:,}" for name, n in stopping.dropped.items())
        text += f" Not asked on, because a later checkpoint was shown to be more accurate: {listed}."
    if level is not None:
        text += (
            f" Each claim is made at a level of {level:.2g}, so that all looks together err with {stopping.alpha:g}."
        )
    return text
