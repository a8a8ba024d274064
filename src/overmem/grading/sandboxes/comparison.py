"""Tests that compare results with literals: the program's process computes, and the comparison is made outside of it.

A program that searches the interpreter which it shares with its tests can forge their answer. Of such tests it is sent
the calls only. The expected results stay outside, so there is nothing to forge: it would have to know them.
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
    """One assertion: an expression that is evaluated in the program's process, and what it must compare with."""

    expression: str
    compare: Callable[[Any, Any], Any]
    expected: Any

    def holds(self, value: Any) -> bool:
        """Whether the value satisfies the assertion."""
        return bool(self.compare(value, self.expected))


def comparisons(tests: str) -> list[Comparison] | None:
    """The assertions of tests that do nothing but compare with literals; None for any other tests.

    Assertions at the top level (MBPP), or in one function `check(candidate)` that is called with a name (HumanEval).
    """
    try:
        body = ast.parse(tests).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match body:
        case [*before, ast.FunctionDef(name="check", args=ast.arguments(args=[parameter])) as check,
              ast.Expr(ast.Call(func=ast.Name("check"), args=[ast.Name(entry)], keywords=[]))] if all(
            map(_is_idle, before)
        ):  # fmt: skip
            body = [_Renamed(parameter.arg, entry).visit(statement) for statement in check.body]
    found = []
    for statement in body:
        if _is_idle(statement):
            continue
        if not isinstance(statement, ast.Assert) or (one := _comparison(statement.test)) is None:
            return None
        found.append(one)
    return found or None


def _is_idle(statement: ast.stmt) -> bool:
    """Whether a statement tests nothing: a text, `pass`, data about the tests, `assert True`."""
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


class _Renamed(ast.NodeTransformer):
    """One name replaced by another."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """The name, replaced where it is the old one."""
        return ast.Name(self.new, node.ctx) if node.id == self.old else node


def first_failure(asked: Sequence[Comparison], values: Sequence[Any]) -> str | None:
    """The first assertion that the values do not satisfy; None where all hold.

    Args:
        asked: the assertions.
        values: what `encoded` in the harness made of each expression's value.
    """
    for one, value in zip(asked, values, strict=True):
        try:
            if one.holds(decoded(value)):
                continue
        except (TypeError, ValueError, KeyError, IndexError, RecursionError, OverflowError):
            pass  # nothing that a literal compares with
        return one.expression
    return None


def decoded(value: Any) -> Any:
    """Plain data from its JSON: numbers, texts and containers; nothing in it is evaluated."""
    kind, inside = value
    if kind == "atom":
        if not isinstance(inside, _ATOMS):
            raise ValueError(kind)
        return inside
    if kind == "dict":
        return {decoded(k): decoded(v) for k, v in inside}
    if kind in ("list", "tuple", "set", "frozenset"):
        made = [decoded(one) for one in inside]
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](made)
    if kind == "float":
        return float(inside)
    if kind == "complex":
        return complex(inside)
    if kind == "bytes":
        return bytes.fromhex(inside)
    raise ValueError(kind)
