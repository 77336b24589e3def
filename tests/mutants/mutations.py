"""Mutants of a module: its text with one condition, operand, comparison, statement or number changed.

A statement is dropped, a condition is made constant, an operand of `and` and `or` is left out, and a
comparison is moved over its bound: what a reviewer would call a missing check. In SQL, a comparison of
the tenant holds for every tenant, and rows are not locked. Messages, annotations and docstrings stay.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.trees import ROOT, Mutant

_OTHER = {
    ast.Lt: (b"<", b"<="),
    ast.LtE: (b"<=", b"<"),
    ast.Gt: (b">", b">="),
    ast.GtE: (b">=", b">"),
    ast.Eq: (b"==", b"!="),
    ast.NotEq: (b"!=", b"=="),
    ast.Is: (b"is", b"is not"),
    ast.IsNot: (b"is not", b"is"),
    ast.In: (b"in", b"not in"),
    ast.NotIn: (b"not in", b"in"),
}
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_OF_A_TENANT = re.compile(rb"\b(?:[a-z_]+\.)?tenant = (\$\d+|:tenant|[a-z_]+\.tenant)")
_ANY_TENANT = b"(true or "
_LOCKS = re.compile(rb"\bfor (?:update|share)\b(?: of \w+)?")


@dataclass(frozen=True)
class _Change:
    where: str
    start: int
    end: int
    new: bytes

    @property
    def in_sql(self) -> bool:
        return self.new == b"" or self.new.startswith(_ANY_TENANT)


def mutants_of(path: str, *, sql_only: bool = False) -> list[Mutant]:
    """Every mutant of a file, in the order of its text; with `sql_only` those of its SQL."""
    source = (ROOT / path).read_bytes()
    if path.endswith(".sql"):
        changes = [_Change("statement", *one) for one in _in_sql(source, 0, len(source))]
    else:
        changes = _Finder(source).changes(sql_only=sql_only)
    names: Counter[str] = Counter()
    found = []
    for change in changes:
        text = source[: change.start] + change.new + source[change.end :]
        name = f"{change.where}: {_short(source[change.start : change.end])} → {_short(change.new)}"
        names[name] += 1
        if names[name] > 1:
            name = f"{name} ({names[name]})"
        found.append(Mutant(path, name, text.decode()))
    return found


def _in_sql(source: bytes, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    for found in _OF_A_TENANT.finditer(source, start, end):
        # The parameter stays: a statement without it would fail, and show nothing.
        yield found.start(), found.end(), _ANY_TENANT + found[0] + b")"
    for found in _LOCKS.finditer(source, start, end):
        yield found.start(), found.end(), b""


def _short(text: bytes) -> str:
    return " ".join(text.decode().split())[:90] or "nothing"


class _Finder:
    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def changes(self, *, sql_only: bool) -> list[_Change]:
        found = self._visit(ast.parse(self._source), "module")
        kept = (one for one in found if not sql_only or one.in_sql)
        return sorted(kept, key=lambda one: (one.start, one.end, one.new))

    def _visit(self, node: ast.AST, where: str) -> Iterator[_Change]:
        if isinstance(node, _NAMED):
            where = node.name if where == "module" else f"{where}.{node.name}"
        for start, end, new in self._of(node):
            yield _Change(where, start, end, new)
        for child in self._children(node):
            yield from self._visit(child, where)

    def _children(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
            return
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_comment"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not self._is_docstring(child):
                    yield child

    @staticmethod
    def _is_docstring(node: ast.AST) -> bool:
        return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)

    def _of(self, node: ast.AST) -> Iterator[tuple[int, int, bytes]]:
        match node:
            case ast.If(test=test) | ast.While(test=test):
                yield (*self._place(test), b"False")
            case ast.IfExp(test=test):
                yield (*self._place(test), b"False")
                yield (*self._place(test), b"True")
            case ast.comprehension(ifs=ifs):
                for one in ifs:
                    yield (*self._place(one), b"True")
            case ast.BoolOp(op=op, values=values):
                for one in values:
                    yield (*self._place(one), b"True" if isinstance(op, ast.And) else b"False")
            case ast.Compare():
                yield from self._compared(node)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                start, end = self._place(node)
                yield start, end, b"(" + self._text(operand) + b")"
            case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.AugAssign():
                yield (*self._place(node), b"pass")
            case ast.Continue() | ast.Break() | ast.Delete():
                yield (*self._place(node), b"pass")
            case ast.Constant(value=bool()):
                yield (*self._place(node), b"False" if node.value else b"True")
            case ast.Constant(value=int() | float() as number):
                yield (*self._place(node), str(number + 1).encode())
            case ast.Constant(value=str()):
                yield from self._sql(node)

    def _compared(self, node: ast.Compare) -> Iterator[tuple[int, int, bytes]]:
        first, last = self._place(node)
        left: ast.expr = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            start, end = self._place(left)[1], self._place(right)[0]
            old, new = _OTHER[type(op)]
            at = self._source.index(old.split()[0], start, end)
            stop = self._source.index(old.split()[-1], at, end) + len(old.split()[-1])
            yield first, last, self._source[first:at] + new + self._source[stop:last]
            left = right

    def _sql(self, node: ast.Constant) -> Iterator[tuple[int, int, bytes]]:
        yield from _in_sql(self._source, *self._place(node))

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.expr) -> bytes:
        start, end = self._place(node)
        return self._source[start:end]
