"""The limits of a judgement: when perplexity is costly, when accuracy is kept, and how often a claim may be wrong."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every judgement of a run, and every comparison of two, is made within these."""

    d_nll: float | None = None
    """Perplexity is costly when the nll is more than this above its minimum, in nats per token; None: by `rise` and
    `nats`."""
    margin: float = 0.03
    """Accuracy is kept when it is no more than this below the best, as a fraction; a tenth of what the run solves where
    that is less."""
    alpha: float = 0.05
    """Error rate of each claim; Holm-corrected over costs."""
    rise: float = 0.15
    """Perplexity is costly when the nll is more than this share above its minimum, and..."""
    nats: float = 0.5
    """...by more than this many nats per solution."""

    def nats_per_token(self, level: float, tokens: float | None) -> float:
        """The rise that is costly, in nats per token.

        Args:
            level: the lowest nll per token.
            tokens: mean tokens of a solution; None where they are not known.
        """
        if self.d_nll is not None:
            return self.d_nll
        return max(self.rise * level, self.nats / tokens if tokens else 0.0)

    def resolved(self, level: float, tokens: float | None, margin: float) -> "Limits":
        """These limits with `d_nll` in nats per token and the margin of this run."""
        return replace(self, d_nll=self.nats_per_token(level, tokens), margin=margin)

    @property
    def absolute(self) -> float:
        """`d_nll`, where it is set or resolved.

        Raises:
            ValueError: it is neither.
        """
        if self.d_nll is None:
            raise ValueError("the limit in nats per token depends on the run: resolve the limits first")
        return self.d_nll
