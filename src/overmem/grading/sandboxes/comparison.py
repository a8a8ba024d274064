"""Tests that compare results with literals: values are computed in the program's process and compared outside of it.

A program shares an interpreter with its tests, and could search it to forge their result. For tests of this kind only
the calls are sent to the sandbox. The expected values stay outside, so a program would have to know them.
"""

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip
_ATOMS = (bool, int, str, type(None))


@dataclass(frozen=True)
class Comparison:
    """One assertion: an expression to evaluate in the program's process, and the value to compare it with."""

    expression: str
    compare: Callable[[Any, Any], Any]
    expected: Any

    def holds(self, value: Any) -> bool:
        """Whether the value satisfies the assertion."""
        return bool(self.compare(value, self.expected))


def comparisons(tests: str) -> list[Comparison] | None:
    """The assertions of tests that only compare with literals; None for any other tests.

    Assertions may be at the top level (MBPP), or in one function `check(candidate)` that is called once (HumanEval).
    """
    try:
        body = ast.parse(tests).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match body:
        case [*before, ast.FunctionDef(name="check", args=ast.arguments(args=[parameter])) as check,
              ast.Expr(ast.Call(func=ast.Name("check"), args=[ast.Name(entry)], keywords=[]))] if all(
            map(_tests_nothing, before)
        ):  # fmt: skip
            body = [_RenameVariable(parameter.arg, entry).visit(statement) for statement in check.body]
    result = []
    for statement in body:
        if _tests_nothing(statement):
            continue
        if not isinstance(statement, ast.Assert) or (assertion := _comparison(statement.test)) is None:
            return None
        result.append(assertion)
    return result or None


def _tests_nothing(statement: ast.stmt) -> bool:
    """Whether a statement tests nothing: a string, `pass`, METADATA, `assert True`."""
    match statement:
        case ast.Pass() | ast.Expr(ast.Constant()) | ast.Assert(ast.Constant(True)):
            return True
        case ast.Assign(targets=[ast.Name("METADATA")]):
            return True
    return False


def _comparison(test: ast.expr) -> Comparison | None:
    match test:
        case ast.Compare(left, [kind], [right]) if type(kind) in _OPERATORS:
            try:
                expected = ast.literal_eval(right)
            except (ValueError, TypeError, SyntaxError, RecursionError):
                return None
            is_identity = isinstance(kind, ast.Is | ast.IsNot)
            if is_identity and not (expected is None or isinstance(expected, bool)):
                return None
            return Comparison(ast.unparse(left), _OPERATORS[type(kind)], expected)
        case ast.Call():
            return Comparison(ast.unparse(test), lambda value, expected: bool(value) == expected, True)
        case ast.UnaryOp(ast.Not(), ast.Call() as call):
            return Comparison(ast.unparse(call), lambda value, expected: bool(value) == expected, False)
    return None


class _RenameVariable(ast.NodeTransformer):
    """Replaces one variable name by another."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """The name, or the new one in place of the old."""
        return ast.Name(self.new, node.ctx) if node.id == self.old else node


def first_failure(assertions: Sequence[Comparison], values: Sequence[Any]) -> str | None:
    """The expression of the first assertion that fails; None if all hold.

    Args:
        assertions: the assertions.
        values: the value of each expression, as `encode` in the harness returns it.
    """
    for assertion, value in zip(assertions, values, strict=True):
        try:
            if assertion.holds(decode(value)):
                continue
        except (TypeError, ValueError, KeyError, IndexError, RecursionError, OverflowError):
            pass  # a value that no literal equals
        return assertion.expression
    return None


def decode(value: Any) -> Any:
    """Plain data from its JSON: numbers, strings and containers; nothing in it is evaluated."""
    kind, content = value
    if kind == "atom":
        if not isinstance(content, _ATOMS):
            raise ValueError(kind)
        return content
    if kind == "dict":
        return {decode(k): decode(v) for k, v in content}
    if kind in ("list", "tuple", "set", "frozenset"):
        members = [decode(member) for member in content]
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](members)
    if kind == "float":
        return float(content)
    if kind == "complex":
        return complex(content)
    if kind == "bytes":
        return bytes.fromhex(content)
    raise ValueError(kind)
