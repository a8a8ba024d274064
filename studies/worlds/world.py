"""A world: the population curves of a run, the luck of its checkpoints, and how it is watched."""

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """One kind of run. Accuracies and losses are fractions, times are shares of the training."""

    name: str = "over-memorized"
    learning: float = 0.07
    """Time constant of accuracy."""
    settling: float = 0.06
    """Time constant of the nll."""
    top: float = 0.8
    """Accuracy of the plateau."""
    start: float = 0.3
    """Accuracy at time 0."""
    creep: float = 0.0
    """Accuracy still gained, linearly, after `turn`."""
    loss: float = 0.0
    """Accuracy lost at the end."""
    decline: str = "none"
    """How it is lost: `none`, `soon`, `steady`, `gathering`, `peak`."""
    level: float = 0.4
    """Lowest nll, in nats per token."""
    rise: float = 0.375
    """Nll at the end over the lowest, minus 1."""
    growth: str = "linear"
    """How it rises: `linear`, `saturating`, `steps`, `early`."""
    turn: float = 0.3
    """When nll begins to rise and accuracy to fall."""
    restarts: float = 0.0
    """Relative height of the nll's jump at each of three warm restarts; it decays within a third of the cycle."""
    memory: float = 0.8
    """Memory at the end: the share of the fall of train nll against val nll that does not carry over."""
    shift: float = 0.0
    """Log ratio of val nll to train nll at the base model: val in other words than train."""
    tokens: float = 75.0
    """Mean length of a solution."""
    n: int = 1000
    """Rows of val, of test and of train."""
    checkpoints: int = 10
    discordance: float = 0.10
    """Share of answers that differ between two checkpoints of equal accuracy."""
    noise: float = 0.25
    """Standard deviation of an example's nll from checkpoint to checkpoint, over `level`."""
    nll_luck: float = 0.0
    """Standard deviation of the luck of a checkpoint as a whole, over `level`."""
    accuracy_luck: float = 0.0
    rows_per_question: int = 1
    """Rows of one question share its difficulty, its luck and its answer."""
    drift: float = 0.0
    """How far the questions that are right change over the run: 0 not at all, 1 entirely."""
    easy: float = 0.0
    """Share of questions that are always right."""
    hard: float = 0.0
    """Share of questions that are never right."""
    heavy: bool = False
    """Nll noise of Student's t with three degrees of freedom, and a few examples that carry most of the rise."""
    chance: float = 0.0
    """Accuracy of a guess."""
    base: bool = True
    train: bool = True
