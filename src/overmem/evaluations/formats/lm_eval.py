"""lm-evaluation-harness: the files `samples_<task>_<date>.jsonl` of --log_samples, and the results file with them."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from overmem.errors import BadData, BadRequest
from overmem.evaluations.log import EvaluationLog, LoggedCompletion, LoggedQuestion
from overmem.json_text import parse_json

_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d-]+(?:\.\d+)?)\.jsonl")
ACCURACIES = ("exact_match", "acc", "pass@1", "pass_at_1", "math_verify", "acc_norm", "prompt_level_strict_acc")
"""Metrics of whether a document was answered correctly; the first of these that was logged is used."""


def read_logs(path: Path, metric: str) -> list[EvaluationLog]:
    """The task in a samples file, or every task in a folder written by lm-eval; of each task the latest file.

    Args:
        path: the file or folder.
        metric: name of the metric, or `name,filter`; empty for the first of ACCURACIES.

    Raises:
        BadRequest: there are no samples, or no such metric.
        BadData: a file was not written by lm-eval.
    """
    files = sorted(path.rglob("samples_*.jsonl")) if path.is_dir() else [path]
    latest: dict[str, Path] = {}
    for file in sorted(files, key=_date):
        match = _SAMPLES.fullmatch(file.name)
        latest[match["task"] if match else file.stem.removeprefix("samples_")] = file
    if not latest:
        results = "; its results file has no answers to single questions" if _results(path) else ""
        raise BadRequest(f"{path} holds no samples_*.jsonl{results}: run lm_eval with --log_samples --output_path")
    return [_log(task, file, metric, _results(file.parent)) for task, file in latest.items()]


def _date(file: Path) -> str:
    match = _SAMPLES.fullmatch(file.name)
    return match["date"] if match else ""


def _results(folder: Path) -> dict[str, Any]:
    """The latest results file in a folder; empty if there is none."""
    for file in sorted(folder.rglob("results*.json"), reverse=True) if folder.is_dir() else ():
        try:
            content = parse_json(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            return content
    return {}


def _log(task: str, file: Path, metric_option: str, results: Mapping[str, Any]) -> EvaluationLog:
    rows = _rows(file)
    metric, filter_used = _metric(file, rows, *metric_option.split(",", 1))
    notes = []
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for row in rows))
    if len(filters) > 1:
        notes.append(
            f"{task}: answers extracted by the filter {filter_used!r} of {', '.join(filters)} (--metric {metric},...)"
        )
    kept = [row for row in rows if str(row.get("filter", "none")) == filter_used]
    settings = results.get("configs", {}).get(task, {}).get("generation_kwargs") or _settings(kept)
    temperature = 0.0 if not settings.get("do_sample", False) else float(settings.get("temperature", 1.0))
    if len(_likelihoods(kept[0])) == 1:
        metric = ""  # a single likelihood is that of a solution: there is no answer to grade
    model = str(results.get("model_name") or results.get("config", {}).get("model_args") or file.parent.name)
    return EvaluationLog(
        file,
        task,
        model,
        f"{metric}{'' if filter_used == 'none' else f' ({filter_used})'}" if metric else "",
        tuple(_question(row, metric) for row in kept),
        temperature,
        tuple(notes),
    )


def _rows(file: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file} cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise BadData(f"{file}, row {number}: not JSON ({error})") from error
        if not isinstance(row, dict) or not {"doc", "resps"} <= set(row):
            raise BadData(f"{file}, row {number}: not a sample of lm-eval: expected an object with doc and resps")
        rows.append(row)
    if not rows:
        raise BadData(f"{file} is empty")
    return rows


def _metric(file: Path, rows: Sequence[Mapping[str, Any]], option: str = "", filter_name: str = "") -> tuple[str, str]:
    """The metric of whether a document was answered correctly, empty for likelihoods only; and the filter."""
    for row in rows:
        name = str(row.get("filter", "none"))
        numeric = [key for key in (_names(row) or row) if isinstance(row.get(key), int | float)]
        metric = next((m for m in ([option] if option else ACCURACIES) if m in numeric), None)
        if metric is not None and filter_name in ("", name):
            return metric, name
    names = ", ".join(sorted({key for row in rows for key in _names(row)}))
    if option:
        of_filter = f" of filter {filter_name!r}" if filter_name else ""
        raise BadRequest(f"{file} has no metric {option!r}{of_filter}; allowed: {names}")
    if not _likelihoods(rows[0]):
        raise BadRequest(f"{file} has none of the metrics {', '.join(ACCURACIES)}; name one of {names} with --metric")
    return "", str(rows[0].get("filter", "none"))


def _names(row: Mapping[str, Any]) -> list[str]:
    metrics = row.get("metrics")
    return [str(name) for name in metrics] if isinstance(metrics, list) else []


def _settings(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    settings = _arguments(rows[0])[0][1:2] if rows and _arguments(rows[0]) else []
    return settings[0] if settings and isinstance(settings[0], dict) else {}


def _arguments(row: Mapping[str, Any]) -> list[list[Any]]:
    """The arguments of each request; the files have objects or lists."""
    arguments = row.get("arguments") or []
    requests = list(arguments.values()) if isinstance(arguments, dict) else arguments
    return (
        [list(r.values()) if isinstance(r, dict) else r for r in requests if isinstance(r, dict | list)]
        if isinstance(requests, list)
        else []
    )


def _likelihoods(row: Mapping[str, Any]) -> list[tuple[float, bool]]:
    """(log-likelihood, whether greedy) of each request; empty if completions were generated."""
    pairs = []
    for response in row["resps"] if isinstance(row["resps"], list) else ():
        first = response[0] if isinstance(response, list) and response else None
        if not isinstance(first, list | tuple) or len(first) != 2:
            return []
        try:
            pairs.append((float(first[0]), str(first[1]) == "True"))
        except (ValueError, TypeError, OverflowError):
            return []
    return pairs


def _question(row: Mapping[str, Any], metric: str) -> LoggedQuestion:
    doc = row["doc"] if isinstance(row["doc"], dict) else {"question": str(row["doc"])}
    arguments, pairs = _arguments(row), _likelihoods(row)
    prompt = str(arguments[0][0]) if arguments and arguments[0] else ""
    target = str(row.get("target", ""))
    key = hashlib.sha256(json.dumps(doc, sort_keys=True, default=str).encode()).hexdigest()
    if metric and not isinstance(row.get(metric), int | float):
        raise BadData(f"document {str(row.get('doc_id'))[:40]} has no {metric}, which others have")
    correct = bool(row[metric]) if metric else False
    if not pairs:
        answers = row.get("filtered_resps")
        answer = answers[0] if isinstance(answers, list) and answers and isinstance(answers[0], str) else ""
        responses = row["resps"] if isinstance(row["resps"], list) else [row["resps"]]
        texts = responses[0] if responses and isinstance(responses[0], list) else responses
        graded = correct if len(texts) == 1 else None  # a grade for several completions is not that of each
        completions = tuple(LoggedCompletion(str(text), graded, answer if len(texts) == 1 else "") for text in texts)
        return LoggedQuestion(key, doc, prompt, target, completions)
    if len(pairs) == 1:
        target = str(arguments[0][1]) if arguments and len(arguments[0]) > 1 else target
        return LoggedQuestion(key, doc, prompt, target, (), -pairs[0][0])
    likeliest = max(range(len(pairs)), key=lambda i: pairs[i][0])
    choices = [str(a[1]).strip() if len(a) > 1 else "" for a in arguments]
    choices += [""] * (len(pairs) - len(choices))
    gold = int(target) if target.isdecimal() and int(target) < len(pairs) else None
    choice = (LoggedCompletion(choices[likeliest], correct, choices[likeliest]),) if metric else ()
    if gold is None:
        return LoggedQuestion(key, doc, prompt, target, choice)
    return LoggedQuestion(key, doc, prompt, str(arguments[gold][1]), choice, -pairs[gold][0])
