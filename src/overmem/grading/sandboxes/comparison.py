"""Tests that compare results with literals: values are computed in the program's process and compared outside of it.

A program that shares an interpreter with its tests could search it to forge their result. For tests of this kind only
the calls are sent to the sandbox. The expected values stay outside, so a program would have to know them. Other tests
run in a process of their own, and `names_in_program` lists what they use of the program.
"""

import ast
import builtins
import operator
import symtable
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.grading.sandboxes.harness.plain_data import decode

_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip


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
    return result


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
            is_truth = expected is None or isinstance(expected, bool)
            if not _is_call(left, nested=not is_truth) or (isinstance(kind, ast.Is | ast.IsNot) and not is_truth):
                return None
            return Comparison(ast.unparse(left), _OPERATORS[type(kind)], expected)
        case ast.Call() if _is_call(test, nested=False):
            return Comparison(ast.unparse(test), lambda value, expected: bool(value) == expected, True)
        case ast.UnaryOp(ast.Not(), ast.Call() as call) if _is_call(call, nested=False):
            return Comparison(ast.unparse(call), lambda value, expected: bool(value) == expected, False)
    return None


def _is_call(node: ast.expr, *, nested: bool) -> bool:
    """Whether an expression calls a function with literals, or with such a call if `nested`.

    Anything else could leave the decision to the program: `isclose(f(2), 4)` if it replaces `isclose`, `f(2) - 4` if
    it returns an object with a subtraction of its own.
    """
    match node:
        case ast.Call(ast.Name(), arguments, keywords):
            values = [*arguments, *(keyword.value for keyword in keywords)]
            return all(_is_literal(value) or (nested and _is_call(value, nested=True)) for value in values)
    return False


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def names_in_program(tests: str) -> tuple[list[str], list[str]]:
    """The names that tests use and do not define: those of the program, and modules of the standard library.

    Built-in names are the tests' own, whatever the program defines.
    """
    try:
        top, calls = symtable.symtable(tests, "<tests>", "exec"), ast.walk(ast.parse(tests))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], []
    used = _global_names(top) - {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    used -= set(dir(builtins))
    called = {node.func.id for node in calls if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    modules = used & sys.stdlib_module_names - called
    return sorted(used - modules), sorted(modules)


def _global_names(table: symtable.SymbolTable) -> set[str]:
    top = table.get_type() == "module"
    names = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return names.union(*map(_global_names, table.get_children()))


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
