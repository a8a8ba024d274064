"""Rows of code data sets: a description or a function header, a reference program, and tests."""

from collections.abc import Mapping
from typing import Any

from overmem.json_text import parse_json
from overmem.records import Example

LAYOUTS: dict[str, dict[str, str]] = {
    "humaneval": {"question": "prompt", "solution": "canonical_solution"},
    "mbpp": {"question": "{text}\nYour code should pass these tests:\n{test_list}", "solution": "code"},
    "mbpp-sanitized": {"question": "{prompt}\nYour code should pass these tests:\n{test_list}", "solution": "code"},
}
"""Layouts whose rows have tests, recognized by their columns (`tests_of` lists the supported tests)."""


def tests_of(values: Mapping[str, Any]) -> str:
    """The tests of a row as statements to run after the program; empty if the row has none.

    Supported are `test` with `entry_point` (HumanEval, EvalPlus), `test_list` with `test_setup_code` or `test_imports`
    (MBPP), `tests` as a text or a list, and `input_output` with a function's name (APPS), but not programs that read
    standard input.
    """
    match values:
        case {"test": str(test), "entry_point": str(name)}:
            return f"{test}\ncheck({name})\n"
        case {"test_list": [*tests]}:
            setup = values.get("test_setup_code") or values.get("test_imports") or ""
            return _lines([*(setup if isinstance(setup, list) else [setup]), *tests])
        case {"tests": str(tests)}:
            return _lines([tests])
        case {"tests": [*tests]}:
            return _lines(tests)
        case {"input_output": str(text)}:
            return _assertions(text)
    return ""


def code_example(identity: str, question: str, solution: Any, tests: str, group: str) -> Example:
    """A row with tests as an example of kind `code`, its indentation kept and its line endings normalized.

    Args:
        identity: the example's id.
        question: the description or function header.
        solution: the reference program, or several as a list or as the JSON of a list; the first is used.
        tests: statements to run after the program.
        group: the example's group, or empty.
    """
    first = next(iter(_programs(solution)), "")
    return Example(
        id=identity,
        question=question.replace("\r\n", "\n"),
        solution=first.replace("\r\n", "\n"),
        answer=tests,
        kind="code",
        group=group,
    )


def _lines(parts: list[Any]) -> str:
    text = "\n".join(str(part).replace("\r\n", "\n").strip("\n") for part in parts if part)
    return f"{text}\n" if text else ""


def _programs(solution: Any) -> list[str]:
    """The reference programs of a row: one, or several as a list or as the JSON of a list (APPS)."""
    if isinstance(solution, list):
        return [str(program) for program in solution]
    text = str(solution or "")
    if text.startswith("["):
        try:
            parsed = parse_json(text)
        except ValueError:
            return [text]
        if isinstance(parsed, list) and all(isinstance(program, str) for program in parsed):
            return parsed
    return [text]


def _assertions(text: str) -> str:
    """APPS's `input_output` as assertions; empty unless it calls a function."""
    try:
        cases = parse_json(text)
    except ValueError:
        return ""
    match cases:
        case {"fn_name": str(name), "inputs": [*inputs], "outputs": [*outputs]} if name.isidentifier():
            pairs = zip(inputs, outputs, strict=False)
            return _lines([f"assert {name}(*{arguments!r}) == {expected!r}" for arguments, expected in pairs])
    return ""
