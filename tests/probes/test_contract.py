"""The laws that every probe obeys, run over the whole table and over random observations."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from overmem.probes import PROBES
from overmem.records import TEMPERATURES, Checkpoint, Example, Samples, Scores, Snapshot

WORDS = ["she", "has", "apples", "then", "buys", "more", "so", "the", "total", "is", "left", "over"]
N = 12
DRAWS = 4


def made_scores(rng, ids, lengths, *, sharp=1.0):
    """Scores that are possible: logprob <= top1 logprob, equal where the label is the argmax."""
    tokens = int(np.sum(lengths))
    top1 = -rng.exponential(0.3, tokens) / sharp
    hit = rng.random(tokens) < 0.8
    logprob = np.where(hit, top1, top1 - rng.exponential(1.5, tokens))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    sums = np.add.reduceat(-logprob, offsets[:-1])
    tempered = sums[:, None] * (1 + 0.3 * np.log(TEMPERATURES)[None, :] ** 2 - 0.1 * np.log(TEMPERATURES)[None, :])
    small = np.float32
    return Scores(
        tuple(ids), offsets, rng.integers(0, 40, tokens).astype(np.int32), logprob.astype(small),
        rng.exponential(0.5, tokens).astype(small), hit, top1.astype(small),
        (-rng.exponential(1.0, tokens) - 0.5).astype(small), (rng.exponential(1.0, tokens) + 0.2).astype(small),
        tempered,
    )  # fmt: skip


def made_samples(rng, examples, share):
    rows = []
    for e in examples:
        for draw in range(DRAWS + 1):
            right = bool(rng.random() < share)
            answer = e.answer if right else str(rng.integers(0, 5))
            words = " ".join(rng.choice(WORDS, 6))
            text = f"{words} 3 + {draw % 2} = 5. The answer is {answer}."
            stop = "eos" if rng.random() < 0.9 else "length"
            temperature = 0.0 if draw == 0 else 1.0
            logprob = -float(rng.exponential(4))
            rows.append((e.id, draw, temperature, text, len(text.split()), logprob, stop, answer, answer == e.answer))
    columns = list(zip(*rows, strict=True))
    return Samples(
        columns[0], np.array(columns[1], np.int32), np.array(columns[2], np.float32), columns[3],
        np.array(columns[4], np.int32), np.array(columns[5], np.float32), columns[6], columns[7], np.array(columns[8]),
    )  # fmt: skip


SPLITS = {
    "train": 0.9,
    "val": 0.7,
    "test": 0.7,
    "test+preamble": 0.5,
    "test+typos": 0.6,
    "ood-longer": 0.4,
    "ood-new": 0.3,
}
ATTACKED = ("recall", "neighbour")


def made_snapshot(seed, *, name="checkpoint-10", step=10, sharp=1.0):
    examples, scores, samples = {}, {}, {}
    tokens = np.random.default_rng(99)
    for split, share in SPLITS.items():
        rng = np.random.default_rng([seed, len(split), step])
        origin, _, shift = split.partition("+")
        ids = [f"{origin}-{i:02d}" + (f"+{shift}" if shift else "") for i in range(N)]
        kinds = [
            Example(i, f"How many {w} of {i}?", f"There are 3 + {k} = {3 + k} {w}.", str(3 + k), group=w)
            for k, (i, w) in enumerate(zip(ids, WORDS * 2, strict=False))
        ]
        examples[split] = tuple(kinds)
        lengths = np.random.default_rng(len(split)).integers(3, 9, N)
        one = made_scores(rng, ids, lengths, sharp=sharp)
        scores[split] = dataclasses.replace(one, token_id=tokens.integers(0, 40, int(lengths.sum())))
        samples[split] = made_samples(rng, kinds, share)
    for split, attack in itertools.product(("train", "val"), ATTACKED):
        names = [f"{i}~{k}" for i in scores[split].example_ids for k in (1, 2)]
        rng = np.random.default_rng([seed, len(split), step, len(attack)])
        if attack == "recall":
            lower = scores[split].logprob - rng.exponential(1.0, len(scores[split].logprob)).astype(np.float32)
            scores[f"{split}~recall"] = dataclasses.replace(scores[split], logprob=lower)
        else:
            scores[f"{split}~neighbour"] = made_scores(rng, names, rng.integers(3, 9, len(names)), sharp=sharp)
    return Snapshot(Checkpoint(name, step), examples, scores, samples)


def shuffled_scores(scores, rng):
    order = rng.permutation(len(scores.example_ids))
    parts = [np.arange(scores.offsets[i], scores.offsets[i + 1]) for i in order]
    take = np.concatenate(parts)
    per_token = ("token_id", "logprob", "entropy", "is_argmax", "top1_logprob", "mean_logprob", "std_logprob")
    return Scores(
        tuple(scores.example_ids[i] for i in order),
        np.concatenate([[0], np.cumsum([len(p) for p in parts])]),
        **{f: getattr(scores, f)[take] for f in per_token},
        tempered_nll=scores.tempered_nll[order],
    )


def shuffled_samples(samples, rng):
    order = rng.permutation(len(samples.example_ids))
    chosen = {}
    for f in dataclasses.fields(samples):
        value = getattr(samples, f.name)
        chosen[f.name] = value[order] if isinstance(value, np.ndarray) else tuple(value[i] for i in order)
    return Samples(**chosen)


def shuffled(snapshot, seed):
    rng = np.random.default_rng(seed)
    return Snapshot(
        snapshot.checkpoint,
        {s: tuple(e[i] for i in rng.permutation(len(e))) for s, e in reversed(snapshot.examples.items())},
        {s: shuffled_scores(x, rng) for s, x in reversed(snapshot.scores.items())},
        {s: shuffled_samples(x, rng) for s, x in reversed(snapshot.samples.items())},
    )


def emptied(snapshot):
    none = dict.fromkeys(snapshot.examples, ())
    return Snapshot(
        snapshot.checkpoint, none, {}, {}, {(s, k): f"no {k}: disk full" for s in none for k in ("scores", "samples")}
    )


@pytest.fixture(params=sorted(PROBES))
def probe(request):
    return PROBES[request.param].measure


@pytest.fixture(scope="module")
def snapshot():
    return made_snapshot(1)


@pytest.fixture(scope="module")
def base():
    return made_snapshot(1, name="base", step=0, sharp=0.5)


def keyed(rows):
    return {(r.split, r.metric, *r.at.items()): r for r in rows}


def close(one, two):
    if one is None or two is None:
        return one is two
    return math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-9)


def test_the_order_of_examples_does_not_matter(probe, snapshot, base):
    straight, mixed = (
        keyed(probe(snapshot, base=base, minimum=base)),
        keyed(probe(shuffled(snapshot, 5), base=shuffled(base, 6), minimum=shuffled(base, 7))),
    )
    assert straight.keys() == mixed.keys()
    for key, one in straight.items():
        for field in ("value", "stderr", "low", "high"):
            assert close(getattr(one, field), getattr(mixed[key], field)), (key, field)
        assert (one.n, one.note) == (mixed[key].n, mixed[key].note)


def test_the_same_observations_give_the_same_measurements(probe, snapshot, base):
    assert probe(snapshot, base=base, minimum=base) == probe(snapshot, base=base, minimum=base)


def test_every_split_and_metric_is_one_row_of_this_checkpoint_and_probe(probe, snapshot, base):
    rows = probe(snapshot, base=base, minimum=base)
    assert len(rows) == len(keyed(rows)) > 0
    assert {(r.checkpoint, r.step) for r in rows} == {("checkpoint-10", 10)}
    assert {PROBES[r.probe].measure for r in rows} == {probe}


def test_a_split_without_observations_has_no_value_but_a_reason(probe, snapshot, base):
    rows = probe(emptied(snapshot), base=base, minimum=base)
    assert rows
    for r in rows:
        assert r.value is None
        assert r.note


def test_an_empty_snapshot_raises_nothing_and_has_no_values(probe, snapshot):
    assert all(
        r.value is None and r.note for r in probe(Snapshot(snapshot.checkpoint, {}, {}, {}), base=None, minimum=None)
    )


def test_probes_do_not_fail_without_a_base_model(probe, snapshot):
    for r in probe(snapshot, base=None, minimum=None):
        assert r.value is not None or r.note


def test_a_value_lies_in_its_interval_and_has_an_n(probe, snapshot, base):
    for r in probe(snapshot, base=base, minimum=base):
        if r.value is None:
            assert r.note
            continue
        assert math.isfinite(r.value)
        assert r.n > 0
        if r.low is not None:
            assert r.low - 1e-9 <= r.value <= r.high + 1e-9, r


FRACTIONS = (
    *("accuracy", "pass@", "maj@", "best@", "auroc", "tpr", "ece", "brier", "share", "exact", "unanswered", "cut_off"),
    *("asp", "consistency", "distinct_1", "distinct_2", "self_bleu", "verbatim", "extraction", "reworded"),
)
SIGNED = ("drop", "gap", "rise", "excess", "scale_share", "overconfidence", "recovered")


def test_fractions_are_never_percent_and_nll_is_never_negative(probe, snapshot, base):
    for r in probe(snapshot, base=base, minimum=base):
        if r.value is None or any(word in r.metric for word in SIGNED):
            continue
        if any(word in r.metric for word in FRACTIONS):
            assert 0 <= r.value <= 1, r
            assert r.low is None or 0 <= r.low <= r.high <= 1, r
        elif "nll" in r.metric:
            assert r.value >= 0, r
