"""The regimes: name, display, meaning and advice of each."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Regime:
    """One regime of a checkpoint or of a run."""

    name: str
    """The printed name; also the CSS class in the report."""
    colour: str
    """Colour of its mark in the terminal, as rich names it."""
    light: str
    """Background colour in the report's light scheme and in print."""
    dark: str
    """Background colour in the report's dark scheme."""
    mark: str
    """Symbol in Markdown."""
    meaning: str
    """The meaning, a clause without a full stop."""
    advice: str
    """What to do about it, in one sentence."""
    is_unhealthy: bool = False
    """Whether `--fail-on unhealthy` fails a run that ends in it."""


RULE = 4
"""Version of the rule that decides on regimes; raised when the same observations may get another verdict."""
REGIMES: Mapping[str, Regime] = {
    regime.name: regime
    for regime in (
        Regime(
            "under-trained",
            colour="default",
            light="#d8d7cf",
            dark="#38363d",
            mark="⚪",
            meaning="accuracy is still below what the run can reach",
            advice="Train longer.",
        ),
        Regime(
            "still-learning",
            colour="cyan",
            light="#c1e3e6",
            dark="#204b53",
            mark="🔵",
            meaning="perplexity has risen, but accuracy is still rising with it",
            advice="Train on as long as accuracy pays for it.",
        ),
        Regime(
            "healthy",
            colour="green",
            light="#daeec8",
            dark="#395928",
            mark="🟢",
            meaning="accuracy is kept and perplexity is near its minimum",
            advice="Ship the recommended checkpoint.",
        ),
        Regime(
            "healthy-memorizing",
            colour="yellow",
            light="#fdeab3",
            dark="#5e4b12",
            mark="🟡",
            meaning="accuracy is kept and perplexity is near its minimum, but the training rows are being memorized",
            advice="Ship the recommended checkpoint; mind privacy, and expect perplexity to rise if training goes on.",
        ),
        Regime(
            "over-memorized",
            colour="bright_magenta",
            light="#e4d7f7",
            dark="#45316d",
            mark="🟣",
            meaning="accuracy is kept, but the training rows are memorized and the model has grown much less likely to "
            "write the reference solutions",
            advice="Ship an earlier checkpoint, merge two, or train with another loss or a smaller learning rate.",
            is_unhealthy=True,
        ),
        Regime(
            "risen-not-memorized",
            colour="bright_blue",
            light="#b6c6e8",
            dark="#303d61",
            mark="🔷",
            meaning="accuracy is kept and perplexity has risen, but the training rows are not memorized: "
            "over-confidence, drift, or what the loss rewards",
            advice="Check calibration and what the loss optimises; memorization is not the reason to stop.",
        ),
        Regime(
            "over-fitted",
            colour="red",
            light="#f4c4b3",
            dark="#5e251b",
            mark="🔴",
            meaning="accuracy has fallen and perplexity has risen",
            advice="Ship an earlier checkpoint, and train for fewer epochs.",
            is_unhealthy=True,
        ),
        Regime(
            "undecided",
            colour="default",
            light="#f3f2ef",
            dark="#232228",
            mark="❔",
            meaning="the examples cannot tell",
            advice="Audit with more examples.",
        ),
    )
}
"""In the order in which a run may pass through them; `undecided` comes last. A new regime needs one entry here and one
sentence in `overmem.wording.headline.ENDINGS`."""
