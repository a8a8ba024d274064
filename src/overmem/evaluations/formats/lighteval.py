"""lighteval: the files `details_<task>_<date>.parquet` of --save-details, in the current and the older layouts."""

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
"""Metrics of whether a question was answered correctly; the first of these that was logged is used."""


def read_logs(path: Path, metric: str) -> list[EvaluationLog]:
    """The task in a details file, or every task in a folder written by lighteval; of each task the latest file.

    Args:
        path: the file or folder.
        metric: name of the metric; empty for the first of ACCURACIES.

    Raises:
        BadRequest: there are no details, or no such metric.
        BadData: a file was not written by lighteval.
    """
    files = [path] if path.is_file() else sorted(path.rglob("details_*.parquet"), key=lambda p: (p.parent.name, p.name))
    if not files:
        raise BadRequest(f"{path} holds no details_*.parquet: run lighteval with --save-details")
    latest = {_task(file): file for file in files}
    return [_log(task, file, metric) for task, file in latest.items()]


def _task(file: Path) -> str:
    name = re.sub(r"_\d{4}-\d\d-\d\dT[\d:.-]+$", "", file.stem.removeprefix("details_"))
    return name.replace("|", ":")


def _log(task: str, file: Path, name: str) -> EvaluationLog:
    try:
        rows = list(pl.read_parquet(file).iter_rows(named=True))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadData(f"{file} is not a parquet file: {str(error).splitlines()[0]}") from error
    if not rows or not ({"metric", "metrics"} & set(rows[0])):
        raise BadData(f"{file} is not a details file of lighteval: it has no column metric or metrics")
    numbers = {k for row in rows for k, v in _metrics(row).items() if isinstance(v, int | float)}
    metric = next((m for m in ([name] if name else ACCURACIES) if m in numbers), None)
    if metric is None:
        raise BadRequest(
            f"{file} has {f'no metric {name!r}' if name else 'none of the usual accuracies'}; name one of "
            f"{', '.join(sorted(numbers))} with --metric"
        )
    # .../details/<organisation>/<model>/<date>/details_<task>_<date>.parquet
    model = "/".join(file.parts[-4:-2]) if len(file.parts) > 4 else file.parent.name
    return EvaluationLog(file, task, model, metric, tuple(_question(i, row, metric) for i, row in enumerate(rows)))


def _metrics(row: Mapping[str, Any]) -> Mapping[str, Any]:
    metrics = _value(row.get("metric") or row.get("metrics"))
    return metrics if isinstance(metrics, Mapping) else {}


def _value(cell: Any) -> Any:
    """The value of a cell: in older files, lists and objects are stored as Python literals."""
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
