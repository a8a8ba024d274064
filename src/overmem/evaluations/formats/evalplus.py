"""EvalPlus: `*eval_results.json`, the programs of every problem with the status of their base and extra tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from overmem.errors import BadData, BadRequest, unknown
from overmem.evaluations.log import EvaluationLog, LoggedCompletion, LoggedQuestion
from overmem.json_text import parse_json

METRICS = ("plus", "base")
"""Whether a program passes all tests of EvalPlus, or those of the original set."""


def read_logs(path: Path, metric: str) -> list[EvaluationLog]:
    """The results in a file or in a folder.

    Args:
        path: the file or folder.
        metric: one of METRICS; empty for `plus` if it was measured, else `base`.

    Raises:
        BadRequest: there are no results, or no such metric.
        BadData: a file was not written by EvalPlus.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*eval_results.json"))
    if not files:
        raise BadRequest(f"{path} holds no *eval_results.json: run evalplus.evaluate")
    if metric and metric not in METRICS:
        raise unknown("metric", metric, METRICS, "EvalPlus's results")
    return list({log.task: log for log in (_log(file, metric) for file in files)}.values())


def _log(file: Path, metric: str) -> EvaluationLog:
    try:
        problems = parse_json(file.read_text(encoding="utf-8"))["eval"]
        items = [(str(name), _attempts(value)) for name, value in problems.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{file} has no results of EvalPlus: {type(error).__name__}: {error}") from error
    has_plus = any(a.get("plus_status") is not None for _, attempts in items for a in attempts)
    chosen = metric or ("plus" if has_plus else "base")
    if chosen == "plus" and not has_plus:
        raise BadRequest(f"{file} has no results of the extra tests; allowed: --metric base")
    tasks = {name.partition("/")[0] for name, _ in items}
    questions = [
        LoggedQuestion(name, {"question": name}, name, "", tuple(_completion(a, chosen) for a in attempts), kind="code")
        for name, attempts in items
    ]
    return EvaluationLog(file, "+".join(sorted(tasks)), file.stem, f"pass@1 ({chosen} tests)", tuple(questions))


def _attempts(value: Any) -> Sequence[Mapping[str, Any]]:
    """The attempts at one problem: a list, or in old files an object of lists of [status, details]."""
    if isinstance(value, dict):
        pairs = zip(value["base"], value.get("plus") or [[None]] * len(value["base"]), strict=True)
        return [{"solution": "", "base_status": base[0], "plus_status": plus[0]} for base, plus in pairs]
    return [attempt for attempt in value if isinstance(attempt, dict)]


def _completion(attempt: Mapping[str, Any], metric: str) -> LoggedCompletion:
    # A program passes `plus` only if it passes the original tests too.
    passed = attempt.get("base_status") == "pass" and (metric == "base" or attempt.get("plus_status") == "pass")
    return LoggedCompletion(str(attempt.get("solution") or ""), passed)
