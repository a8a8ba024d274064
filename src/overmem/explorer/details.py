"""The details of an example: its reference token by token at every checkpoint, its completions and their grades."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from overmem import store
from overmem.errors import BadRequest
from overmem.records import Example, Plan
from overmem.store.snapshots import why_missing, why_not_observed

SCORES = ("token_id", "logprob", "is_argmax")
SAMPLES = ("draw", "temperature", "text", "token_count", "stop")
GRADES = ("draw", "answer", "correct", "note")


def read_details(
    run: store.Run, split: str, examples: Sequence[Example], draws_at: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Example id -> its details as the page reads them.

    Args:
        run: the run.
        split: the split of the examples.
        examples: the examples to read.
        draws_at: names of the checkpoints whose sampled completions are read, not only the greedy one; None for all.
    """
    plan, texts = store.read_plan(run), store.read_token_texts(run)
    details: dict[str, dict[str, Any]] = {
        e.id: {"solution": e.solution, "kind": e.kind, "tokens": [], "surprise": [], "argmax": [], "completions": []}
        for e in examples
    }
    graders = []
    for checkpoint in plan.checkpoints:
        name = checkpoint.name
        scores = _rows(run, plan, name, split, "scores", SCORES, details)
        samples = _rows(run, plan, name, split, "samples", SAMPLES, details)
        grades = _rows(run, plan, name, split, "grades", GRADES, details) if samples else {}
        graders.append(store.read_grader(run, name, split) if samples else "")
        has_draws = draws_at is None or name in draws_at
        for identity, detail in details.items():
            _add_scores(detail, scores.get(identity, ()), texts)
            grade_of = {row["draw"]: row for row in grades.get(identity, ())}
            completions = [_completion(row, grade_of.get(row["draw"], {})) for row in samples.get(identity, ())]
            detail["completions"].append([c for c in completions if has_draws or c["draw"] == 0])
            detail.setdefault("left_out", []).append(0 if has_draws else sum(c["draw"] > 0 for c in completions))
    for detail in details.values():
        detail["graders"] = graders
    return details


def _rows(
    run: store.Run, plan: Plan, name: str, split: str, kind: str, columns: Sequence[str], ids: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Example id -> its rows; empty if the unit is missing or damaged."""
    unit = "samples" if kind == "grades" else kind
    if why_missing(run, name, split, unit, plan.requests[split], why_not_observed(run, name)):
        return {}
    by_example: dict[str, list[dict[str, Any]]] = {}
    try:
        for row in store.read_rows(run, name, split, kind, columns, ids):
            by_example.setdefault(row["example_id"], []).append(row)
    except BadRequest:
        return {}
    return by_example


def _add_scores(detail: dict[str, Any], rows: Sequence[Mapping[str, Any]], texts: Mapping[int, str]) -> None:
    if not rows:
        detail["surprise"].append(None)
        detail["argmax"].append("")
        return
    row = rows[0]
    if not detail["tokens"]:
        detail["tokens"] = [texts.get(token, f"⟨{token}⟩") for token in row["token_id"]]
    detail["surprise"].append([round(-1000 * logprob) for logprob in row["logprob"]])
    detail["argmax"].append("".join("1" if hit else "0" for hit in row["is_argmax"]))


def _completion(row: Mapping[str, Any], grade: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "draw": row["draw"],
        "temperature": round(row["temperature"], 3),
        "text": row["text"],
        "tokens": row["token_count"],
        "stop": row["stop"],
        "answer": grade.get("answer", ""),
        "correct": grade.get("correct"),
        "note": grade.get("note", ""),
    }
