"""Sums and products of plain numbers, evaluated exactly: `( ( 4502.0 + 4276.0 ) / 154.0 )` is 57."""

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

_ALLOWED = re.compile(r"[\d.,\s+\-*/()]{3,200}")
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def arithmetic_value(text: str) -> Fraction | None:
    """The exact value of an expression of plain numbers, `+ - * /` and parentheses; None if `text` is anything else.

    >>> arithmetic_value("( ( 4502.0 + 4276.0 ) / 154.0 )"), arithmetic_value("2 + x"), arithmetic_value("1 / (1 - 1)")
    (Fraction(57, 1), None, None)
    """
    if not _ALLOWED.fullmatch(text) or not re.search(r"[-+*/]", text):
        return None
    try:
        parsed = ast.parse(re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text.strip()), mode="eval")
        return _value(parsed.body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(ast.unparse(node))
    raise ValueError(ast.dump(node))
