"""Questions answered correctly at one checkpoint and wrongly at a later one."""

from collections.abc import Sequence
from dataclasses import dataclass

from overmem import store
from overmem.records import Samples


@dataclass(frozen=True)
class Flip:
    """One question that went from right to wrong, and how many of its split did."""

    split: str
    id: str
    question: str
    answer: str
    """The reference answer."""
    good: str
    """Name of the checkpoint that answers correctly."""
    bad: str
    """Name of the checkpoint that answers wrongly."""
    before: str
    after: str
    """Their greedy completions."""
    lost: int
    """Questions of the split that went from right to wrong."""
    won: int
    """Those that went from wrong to right."""
    n: int


def easiest_flip(run: store.Run, good: str, bad: str, splits: Sequence[str]) -> Flip | None:
    """The shortest question that went from right to wrong, on the split that lost the most; None if there is none."""
    worst: tuple[float, str, list[str], int, int] | None = None
    for split in splits:
        if not all(run.unit_path(name, split, "samples").is_file() for name in (good, bad)):
            continue
        before, after = (_greedy(store.read_samples(run, name, split)) for name in (good, bad))
        both = before.keys() & after.keys()
        lost = sorted(name for name in both if before[name][0] and not after[name][0])
        won = sum(after[name][0] and not before[name][0] for name in both)
        if lost and (worst is None or len(lost) / len(both) > worst[0]):
            worst = len(lost) / len(both), split, lost, won, len(both)
    if worst is None:
        return None
    _, split, lost, won, n = worst
    texts = [_greedy(store.read_samples(run, name, split)) for name in (good, bad)]
    examples = {e.id: e for e in store.read_examples(run, split)}
    readable = [name for name in lost if name in examples]
    if not readable:
        return None
    name = min(readable, key=lambda i: (len(examples[i].question) + sum(len(t[i][1]) for t in texts), i))
    return Flip(
        split=split,
        id=name,
        question=examples[name].question,
        answer=examples[name].answer,
        good=good,
        bad=bad,
        before=texts[0][name][1],
        after=texts[1][name][1],
        lost=len(lost),
        won=won,
        n=n,
    )


def _greedy(samples: Samples) -> dict[str, tuple[bool, str]]:
    """Example id -> whether its greedy completion is right, and its text."""
    rows = zip(samples.example_ids, samples.draw, samples.correct, samples.text, strict=True)
    return {name: (bool(correct), text) for name, draw, correct, text in rows if draw == 0}
