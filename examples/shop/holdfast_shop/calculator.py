"""Exact arithmetic on a text: numbers, `+ - * /` and parentheses, and nothing else."""

import ast
from fractions import Fraction

ALLOWED = frozenset("0123456789+-*/(). ")


class CannotCalculate(Exception):
    """The text is not such an expression, or has no value."""


def calculate(expression: str) -> str:
    """The value rounded to 2 decimals (half to even), as text: '1288.65', '26.0'.

    `expression` has at most a few hundred characters.

    Raises:
        CannotCalculate: "Invalid characters in expression", or "Invalid expression".
    """
    if not ALLOWED.issuperset(expression):
        raise CannotCalculate("Invalid characters in expression")
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
        return str(float(round(value, 2)))
    except (SyntaxError, ArithmeticError, RecursionError, MemoryError) as error:
        raise CannotCalculate("Invalid expression") from error


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left) + _value(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _value(left) - _value(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _value(left) * _value(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _value(left) / _value(right)
    raise CannotCalculate("Invalid expression")
