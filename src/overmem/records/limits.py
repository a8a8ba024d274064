"""The limits of a verdict: when perplexity is costly, when accuracy is kept, and how often a claim may be wrong."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of all tests on a run, and of all comparisons of runs."""

    d_nll: float | None = None
    """Perplexity is costly when the nll is more than this above its minimum, in nats per token. None: `rise` and `nats`
    decide."""
    margin: float = 0.03
    """Accuracy is kept when it is no more than this below the best, as a fraction; or a tenth of the run's accuracy, if
    that is less."""
    alpha: float = 0.05
    """Error rate of each claim; for costs after Holm correction."""
    rise: float = 0.15
    """Without `d_nll`: perplexity is costly when the nll is more than this share above its minimum, and..."""
    nats: float = 0.5
    """...by more than this many nats per solution."""

    def nats_per_token(self, level: float, tokens: float | None) -> float:
        """The rise that is costly, in nats per token.

        Args:
            level: the lowest nll per token.
            tokens: mean tokens per solution; None if unknown.
        """
        if self.d_nll is not None:
            return self.d_nll
        return max(self.rise * level, self.nats / tokens if tokens else 0.0)

    def resolved(self, level: float, tokens: float | None, margin: float) -> "Limits":
        """These limits with `d_nll` computed for this run, and with its margin."""
        return replace(self, d_nll=self.nats_per_token(level, tokens), margin=margin)

    @property
    def absolute(self) -> float:
        """`d_nll`, once it is set or resolved.

        Raises:
            ValueError: it is neither.
        """
        if self.d_nll is None:
            raise ValueError("the limit in nats per token depends on the run: resolve the limits first")
        return self.d_nll
