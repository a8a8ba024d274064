"""What to judge and within which limits."""

from dataclasses import asdict, dataclass
from typing import Literal

from overmem.records import Limits


@dataclass(frozen=True)
class Diagnose:
    """Which run to judge, and where the limits lie."""

    run: str
    """Run directory that was audited; or a folder or file that has only curves: trainer_state.json, JSON lines, a CSV,
    TensorBoard events, a model card's table, or what torchtune, nanoGPT and mlx-lm print."""
    d_nll: float | None = None
    """Perplexity is costly when the nll is more than this above its minimum, in nats per token; by default when it has
    risen by 15% and by half a nat per solution."""
    margin: float = 0.03
    """Accuracy is kept when it lies no more than this below the best, as a fraction."""
    accuracy: Literal["greedy", "draws"] = "greedy"
    """What accuracy is: that of greedy completions, or the mean over a question's draws, which needs fewer questions
    to decide; it takes an audit with --draws."""
    alpha: float = 0.05
    """Error rate of each claim; Holm-corrected over checkpoints and over costs."""
    chance: float | None = None
    """Accuracy of a guess, as a fraction: a run that does no better has solved nothing. By default that of guessing
    among a question's lettered choices, or of always giving the most frequent of a few answers; 0 for open answers and
    for curves."""
    same_distribution: Literal["check", "yes", "no"] = "check"
    """Whether val comes from the distribution of the training rows: checked at the base model, or declared."""
    eval_rows: int | None = None
    """Curves only: how many examples the logged accuracy was measured on, for its interval."""
    nll_metric: str = ""
    """Curves only: the name under which the evaluation loss was logged, where it is none of the usual ones."""
    accuracy_metric: str = ""
    """Curves only: the name under which the accuracy of answers was logged (eval_gsm8k_pass@1, ...), likewise."""
    lower_is_better: bool = False
    """Curves only: the metric named by --accuracy-metric falls as the model gets better, as a word error rate does."""
    log_run: str = ""
    """Curves only: which of several runs whose logs lie in one folder or file."""
    eval_set: str = ""
    """Curves only: which of several evaluation sets the verdict is on; the others are judged in a sentence each."""
    seed: int = 0
    """Fixes the folds and the bootstrap."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""
    save: bool | None = None
    """Whether the verdict is written to verdict.json among them; by default where --out is given or the run was
    audited: a folder of logs is only read."""

    @property
    def limits(self) -> Limits:
        """When perplexity is costly and accuracy kept."""
        return Limits(d_nll=self.d_nll, margin=self.margin, alpha=self.alpha)


def options_of(config: Diagnose) -> dict[str, object]:
    """What a verdict says it was made with."""
    return {name: value for name, value in asdict(config).items() if name not in ("run", "out", "save")}
