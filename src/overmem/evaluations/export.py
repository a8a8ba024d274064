"""A run's completions as inspect_ai's `.eval` logs, one per checkpoint and split, so that Inspect View opens them.

The files are written in the documented format (a zip of JSON) without the package inspect_ai, so they do not depend on
which version of it is installed. A test reads them back with inspect_ai where it is installed.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import overmem
from overmem import store
from overmem.errors import BadRequest, unknown
from overmem.evaluations.options import ExportLogs
from overmem.records import Checkpoint, Curves, Example, Samples, Scores
from overmem.statistics import wilson
from overmem.store.files import replacing
from overmem.store.imported import SolutionTotals, origin_of, read_totals

SCORER = "overmem"
"""Name of the score for whether an answer is right."""
NLL = "nll"
"""Name of the score for the summed nll of the reference solution, in nats."""
_SCHEMA_VERSION = 2
"""Version of inspect_ai's log schema."""


def export_logs(config: ExportLogs) -> tuple[Path, ...]:
    """The paths of the logs that were written.

    Raises:
        BadRequest: the run was not audited, has no such checkpoint or split, or no completions.
    """
    run = store.open_run(config.run, config.out)
    plan = store.read_plan(run)
    for kind, names, allowed in (
        ("checkpoint", config.checkpoints, [c.name for c in plan.checkpoints]),
        ("split", config.splits, list(plan.splits)),
    ):
        for name in names:
            if name not in allowed:
                raise unknown(kind, name, allowed)
    written = []
    for split in plan.splits:
        if config.splits and split not in config.splits:
            continue
        examples = {example.id: example for example in store.read_examples(run, split)}
        curves = store.read_curves(run, split, merged=True)
        totals = _totals(run, split)
        for checkpoint in curves.checkpoints:
            if config.checkpoints and checkpoint.name not in config.checkpoints:
                continue
            samples = _completions(run, curves, checkpoint.name, split, examples)
            if samples is None:
                continue
            path = Path(config.output) / f"{checkpoint.name}_{split}.eval"
            _write(path, run, checkpoint, split, examples, samples, totals(checkpoint))
            written.append(path)
    if not written:
        raise BadRequest(f"{run.root} has no completions of these checkpoints and splits, so nothing was exported")
    return tuple(written)


def _completions(
    run: store.Run, curves: Curves, checkpoint: str, split: str, examples: Mapping[str, Example]
) -> Samples | None:
    """The completions of a checkpoint; None if there are none, or if they are of other questions than the split's."""
    if (checkpoint, "samples") in curves.notes:
        return None
    samples = store.read_samples(run, checkpoint, split)
    return samples if samples.example_ids and examples.keys() >= set(samples.example_ids) else None


def _totals(run: store.Run, split: str) -> Any:
    """Checkpoint -> (example id -> summed nll and tokens)."""

    def read(checkpoint: Checkpoint) -> dict[str, tuple[float, int]]:
        totals: Scores | SolutionTotals
        try:
            totals = store.read_scores(run, checkpoint.name, split)
        except BadRequest:
            if not origin_of(run, checkpoint.name, split, "nll"):
                return {}
            totals = read_totals(run, checkpoint.name, split)
        pairs = zip(totals.example_ids, totals.nll_sums, totals.token_counts, strict=True)
        return {identity: (float(nll), int(count)) for identity, nll, count in pairs}

    return read


def _write(
    path: Path,
    run: store.Run,
    checkpoint: Checkpoint,
    split: str,
    examples: Mapping[str, Example],
    samples: Samples,
    totals: Mapping[str, tuple[float, int]],
) -> None:
    """Write one log.

    Args:
        path: the file.
        run: the run.
        checkpoint: the checkpoint that made the completions.
        split: name of the split.
        examples: the examples of the split, by id.
        samples: the completions with their grades.
        totals: example id -> summed nll of its solution, and its number of tokens.
    """
    model = f"{run.root.resolve().name}/{checkpoint.name}"
    rows = list(_samples(samples, examples, totals, model))
    header = _header(run, checkpoint, split, model, samples, rows)
    with replacing(path) as partial, ZipFile(partial, "w", ZIP_DEFLATED) as archive:
        start = {key: header[key] for key in ("version", "eval", "plan")}
        archive.writestr("_journal/start.json", json.dumps(start))
        for row in rows:
            archive.writestr(f"samples/{row['id']}_epoch_{row['epoch']}.json", json.dumps(row))
        archive.writestr("summaries.json", json.dumps([_summary(row) for row in rows]))
        archive.writestr("header.json", json.dumps(header))


def _samples(
    samples: Samples, examples: Mapping[str, Example], totals: Mapping[str, tuple[float, int]], model: str
) -> Iterator[dict[str, Any]]:
    epochs: Counter[str] = Counter()  # inspect_ai calls the completions of one question epochs
    for i, identity in enumerate(samples.example_ids):
        example = examples[identity]
        epochs[identity] += 1
        reply = {"role": "assistant", "content": samples.text[i], "source": "generate"}
        stop = {"length": "max_tokens", "eos": "stop"}.get(samples.stop[i], "unknown")
        output: dict[str, Any] = {
            "model": model,
            "choices": [{"message": reply, "stop_reason": stop}],
            "completion": samples.text[i],
        }
        if samples.token_count[i] >= 0:
            tokens = int(samples.token_count[i])
            output["usage"] = {"input_tokens": 0, "output_tokens": tokens, "total_tokens": tokens}
        scores: dict[str, Any] = {
            SCORER: {"value": "C" if samples.correct[i] else "I", "answer": samples.answer[i], "history": []}
        }
        if identity in totals:
            nll, count = totals[identity]
            scores[NLL] = {"value": nll, "metadata": {"tokens": count, "unit": "nats, summed"}, "history": []}
        draw = int(samples.draw[i])
        yield {
            "id": identity,
            "epoch": epochs[identity],
            "input": example.question,
            "target": example.answer,
            "messages": [{"role": "user", "content": example.question, "source": "input"}, reply],
            "output": output,
            "scores": scores,
            "metadata": {
                "solution": example.solution,
                "draw": draw,
                "temperature": round(float(samples.temperature[i]), 4) if draw else 0.0,
            },
            "store": {},
            "events": [],
            "model_usage": {},
            "attachments": {},
        }


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage")
    return {**{key: row[key] for key in keys}, "completed": True}


def _header(
    run: store.Run, checkpoint: Checkpoint, split: str, model: str, samples: Samples, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """The log without its samples.

    Args:
        run: the run.
        checkpoint: the checkpoint that made the completions.
        split: name of the split.
        model: name of the model in the log.
        samples: the completions.
        rows: the samples of the log.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ids = list(dict.fromkeys(samples.example_ids))
    epochs = max((row["epoch"] for row in rows), default=1)
    n, right = len(rows), int(samples.correct.sum())
    low, high = wilson(right, n)
    config = {"epochs": epochs, "log_samples": True}
    identity = f"{zlib.crc32(f'{model} {split} {now}'.encode()):08x}"
    spec = {
        "run_id": identity,
        "eval_id": f"{identity}e",
        "task_id": f"{identity}t",
        "created": now,
        "task": split,
        "task_version": 0,
        "dataset": {"name": split, "samples": len(ids), "sample_ids": ids, "shuffled": False},
        "model": model,
        "model_args": {},
        "task_args": {},
        "config": config,
        "packages": {"overmem": overmem.__version__},
        "metadata": {"checkpoint": asdict(checkpoint), "accuracy_interval": [low, high]},
    }
    metrics = {"accuracy": {"name": "accuracy", "value": right / n, "params": {}}}
    score = {
        "name": SCORER,
        "scorer": SCORER,
        "scored_samples": n,
        "unscored_samples": 0,
        "params": {},
        "metrics": metrics,
    }
    return {
        "version": _SCHEMA_VERSION,
        "status": "success",
        "eval": spec,
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {"total_samples": n, "completed_samples": n, "scores": [score]},
        "stats": {"started_at": now, "completed_at": now, "model_usage": {}},
    }
