"""One simulated run, as an audit stores it and as other harnesses log it: the same questions, completions and nll."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from overmem import store
from overmem.records import TEMPERATURES, Checkpoint, Example, Plan, PlannedSplit, Samples, Scores
from overmem.tasks.parsing import content_id
from studies.trajectories import World, simulated

TOKENS = 9
"""Tokens of every solution, a space and `#### 123`, by a tokenizer of bytes."""


@dataclass(frozen=True)
class Evaluated:
    """One checkpoint evaluated on one split."""

    checkpoint: Checkpoint
    split: str
    examples: tuple[Example, ...]
    correct: np.ndarray
    nll: np.ndarray

    @property
    def texts(self):
        """Completions: the reference solution, or another number."""
        return [e.solution if right else "#### 99" for e, right in zip(self.examples, self.correct, strict=True)]


def make_examples(split, n):
    answers = [str(100 + (7 * i) % 900) for i in range(n)]
    questions = [f"What does number {i} of {split} come to?" for i in range(n)]
    return tuple(Example(content_id(q), q, f"#### {a}", a) for q, a in zip(questions, answers, strict=True))


@pytest.fixture(scope="session")
def evaluated():
    """Val and test of six checkpoints of a run that over-memorizes at its end."""
    world = World(n=400, checkpoints=6, discordance=0.04)
    rows = []
    for split, curves in zip(("val", "test"), simulated(world, "logs", 0, splits=2), strict=True):
        examples = make_examples(split, world.n)
        for i, checkpoint in enumerate(curves.checkpoints):
            per_token = (curves.nll_sums[i] / curves.token_counts).astype(np.float32)
            rows.append(Evaluated(checkpoint, split, examples, curves.correct[i] > 0, per_token.astype(float) * TOKENS))
    return rows


@pytest.fixture(scope="session")
def audited(evaluated, tmp_path_factory):
    """The run as an audit stores it."""
    root = tmp_path_factory.mktemp("audited") / "run"
    root.mkdir()
    run = store.open_run(root)
    checkpoints = tuple(dict.fromkeys(e.checkpoint for e in evaluated))
    splits = {e.split: PlannedSplit("r", len(e.examples)) for e in evaluated}
    store.write_plan(run, Plan(splits, checkpoints))
    for e in evaluated:
        (root / e.checkpoint.name).mkdir(exist_ok=True)
        store.write_examples(run, e.split, e.examples)
        ids, n = tuple(e.id for e in e.examples), len(e.examples)
        zero = np.zeros(n * TOKENS, dtype=np.float32)
        logprob = np.repeat(-e.nll / TOKENS, TOKENS).astype(np.float32)
        grid = np.repeat(e.nll[:, None], len(TEMPERATURES), 1)
        store.write_scores(
            run, e.checkpoint.name, e.split,
            Scores(ids, np.arange(0, n * TOKENS + 1, TOKENS), zero.astype(np.int32), logprob, zero, zero < 1, logprob,
                   zero, zero, grid), weights="w", request="r",
        )  # fmt: skip
        store.write_samples(
            run, e.checkpoint.name, e.split,
            Samples(ids, np.zeros(n, np.int32), np.zeros(n, np.float32), tuple(e.texts), np.full(n, 8, np.int32),
                    -np.ones(n, np.float32), ("eos",) * n, tuple(t[5:] for t in e.texts), e.correct),
            weights="w", request="r",
        )  # fmt: skip
    return run


def lm_eval_rows(e, *, likelihoods):
    """The samples of one task in lm-eval's format."""
    for i, (example, text, right, nll) in enumerate(zip(e.examples, e.texts, e.correct, e.nll, strict=True)):
        doc = {"question": example.question, "solution": example.solution, "answer": example.answer}
        prompt = f"Question: {example.question}\nAnswer:"
        row = {"doc_id": i, "doc": doc, "filter": "none"}
        if likelihoods:
            target = f" {example.solution}"
            row |= {"target": target, "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": target}}}
            row |= {"resps": [[[repr(-float(nll)), "False"]]], "filtered_resps": [[repr(-float(nll)), "False"]]}
            yield row | {"metrics": ["perplexity"], "perplexity": -float(nll)}
            continue
        settings = {"until": [], "do_sample": False}
        row |= {"target": example.answer, "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": settings}}}
        row |= {"resps": [[text]], "metrics": ["exact_match"]}
        yield row | {"filter": "strict", "filtered_resps": [text[5:]], "exact_match": float(right)}
        yield row | {"filter": "flexible", "filtered_resps": [text[5:]], "exact_match": 0.0}


@pytest.fixture(scope="session")
def lm_eval_logs(evaluated, tmp_path_factory):
    """One folder per checkpoint, with the tasks `sums_val`, `sums_val_nll`, `sums_test` and `sums_test_nll`."""
    root = tmp_path_factory.mktemp("results")
    for e in evaluated:
        folder = root / f"step-{e.checkpoint.step}" / "org__model"
        folder.mkdir(parents=True, exist_ok=True)
        for task, likelihoods in ((f"sums_{e.split}", False), (f"sums_{e.split}_nll", True)):
            rows = lm_eval_rows(e, likelihoods=likelihoods)
            path = folder / f"samples_{task}_2026-11-28T20-00-00.123456.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "results_2026-11-28T20-00-00.123456.json").write_text(
            json.dumps({"model_name": "org/model", "config": {"model_args": "pretrained=org/model"}, "configs": {}})
        )
    return sorted(root.iterdir(), key=lambda p: int(p.name[5:]))


@pytest.fixture
def tokenizer(byte_tokenizer, tmp_path):
    """Folder of a tokenizer of bytes."""
    byte_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return str(tmp_path / "tokenizer")


def assert_same_verdict(imported, own):
    """Regimes, onset, severity and recommendation are equal; estimates to the rounding of float32."""
    assert imported.regime == own.regime == "over-memorized"
    assert [v.regime for v in imported.checkpoints] == [v.regime for v in own.checkpoints]
    assert [v.checkpoint.name for v in imported.checkpoints] == [v.checkpoint.name for v in own.checkpoints]
    assert imported.onset.checkpoint == own.onset.checkpoint
    assert imported.onset.step.value == pytest.approx(own.onset.step.value, rel=1e-4)
    assert imported.recommended.checkpoint == own.recommended.checkpoint
    assert imported.recommended.accuracy == own.recommended.accuracy
    assert imported.severity.checkpoint == own.severity.checkpoint
    assert imported.severity.excess.value == pytest.approx(own.severity.excess.value, rel=1e-5)
    for a, b in zip(imported.checkpoints, own.checkpoints, strict=True):
        assert a.accuracy == b.accuracy
        assert a.nll.value == pytest.approx(b.nll.value, rel=1e-5)
