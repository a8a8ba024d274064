"""lighteval: the parquet files `details_<task>_<date>.parquet` of --save-details, of its present and older layouts."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from overmem.errors import BadData, BadRequest
from overmem.evaluations.log import EvaluationLog, LoggedCompletion, LoggedQuestion

ACCURACIES = (
    "extractive_match", "expr_gold_metric", "em", "exact_match", "qem", "quasi_exact_match", "acc", "acc_norm",
    "pass@k:k=1&n=1", "pass@1:1_samples", "maj@k", "latex_gold_metric",
)  # fmt: skip
"""Metrics that say of one question whether it was answered right, the first present first."""


def read_logs(path: Path, metric: str) -> list[EvaluationLog]:
    """Every task in a details file, or in a folder that lighteval wrote: of each task its latest file.

    Args:
        path: the file or folder.
        metric: name of the metric; empty for the first usual one.

    Raises:
        BadRequest: no details there, or no such metric.
        BadData: a file that is not lighteval's.
    """
    files = [path] if path.is_file() else sorted(path.rglob("details_*.parquet"), key=lambda p: (p.parent.name, p.name))
    if not files:
        raise BadRequest(f"{path} holds no details_*.parquet: run lighteval with --save-details")
    latest = {_task(file): file for file in files}
    return [_log(task, file, metric) for task, file in latest.items()]


def _task(file: Path) -> str:
    name = re.sub(r"_\d{4}-\d\d-\d\dT[\d:.-]+$", "", file.stem.removeprefix("details_"))
    return name.replace("|", ":")


def _log(task: str, file: Path, wanted: str) -> EvaluationLog:
    try:
        rows = list(pl.read_parquet(file).iter_rows(named=True))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadData(f"{file} is no parquet file: {str(error).splitlines()[0]}") from error
    if not rows or not ({"metric", "metrics"} & set(rows[0])):
        raise BadData(f"{file} has no column metric or metrics: no details of lighteval")
    numbers = {k for row in rows for k, v in _metrics(row).items() if isinstance(v, int | float)}
    there = [m for m in ([wanted] if wanted else ACCURACIES) if m in numbers]
    if not there:
        raise BadRequest(
            f"{file} has {f'no metric {wanted!r}' if wanted else 'none of the usual accuracies'}; name one of "
            f"{', '.join(sorted(numbers))} with --metric"
        )
    # .../details/<organisation>/<model>/<date>/details_<task>_<date>.parquet
    model = "/".join(file.parts[-4:-2]) if len(file.parts) > 4 else file.parent.name
    return EvaluationLog(file, task, model, there[0], tuple(_question(i, row, there[0]) for i, row in enumerate(rows)))


def _metrics(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found = _value(row.get("metric") or row.get("metrics"))
    return found if isinstance(found, Mapping) else {}


def _value(cell: Any) -> Any:
    """A cell as a value: older files keep lists and objects as their Python text."""
    if isinstance(cell, str) and cell[:1] in "[{":
        try:
            return ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return cell
    return cell


def _question(number: int, row: Mapping[str, Any], metric: str) -> LoggedQuestion:
    doc, response = _value(row.get("doc")), _value(row.get("model_response"))
    doc = doc if isinstance(doc, Mapping) else {}
    response = response if isinstance(response, Mapping) else {}
    prompt = str(doc.get("query") or row.get("full_prompt") or row.get("example") or "")
    golds, choices = _value(doc.get("gold_index")), _value(doc.get("choices")) or []
    golds = golds if isinstance(golds, list) else [golds]
    target = str(choices[golds[0]]) if choices and isinstance(golds[0], int) else _first(_value(row.get("gold")))
    texts = _value(response.get("text") or response.get("text_post_processed") or row.get("predictions")) or []
    texts = [texts] if isinstance(texts, str) else [t if isinstance(t, str) else _first(t) for t in texts]
    logprobs = [p for p in _value(response.get("logprobs")) or () if isinstance(p, int | float)]
    nll = -float(logprobs[golds[0]]) if logprobs and len(choices) == len(logprobs) and golds[0] is not None else None
    if not texts and logprobs and len(choices) == len(logprobs):
        texts = [str(choices[max(range(len(logprobs)), key=lambda i: logprobs[i])])]
    value = _metrics(row).get(metric)
    graded = None if value is None or len(texts) > 1 else float(value) >= 1
    completions = tuple(LoggedCompletion(text, graded) for text in texts)
    identity = str(doc.get("id") or number)
    return LoggedQuestion(identity, {"question": prompt, "answer": target.strip()}, prompt, target, completions, nll)


def _first(value: Any) -> str:
    if isinstance(value, list | tuple):
        return _first(value[0]) if value else ""
    return "" if value is None else str(value)
