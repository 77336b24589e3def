"""The syntax of conditions: which names an expression uses, and what it can cost to evaluate.

The grammar is that of the Common Expression Language, as far as its library here implements it. The
library has the last word on whether an expression is one; it tells no more about it than that.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_METHODS = frozenset({"size", "contains", "startsWith", "endsWith", "matches"})
_PARTS_OF_TIME = re.compile(
    r"get(FullYear|Month|Date|DayOfMonth|DayOfWeek|DayOfYear|Hours|Minutes|Seconds|Milliseconds)"
)
_FUNCTIONS = frozenset(
    {
        "has",
        "size",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "timestamp",
        "duration",
        "type",
        "dyn",
    }
)

LONGEST = 2_000
"""Characters of an expression."""
DEEPEST = 32
"""Levels of parentheses, brackets and calls."""
_HIGHEST = 100
"""Levels of an expression altogether, so that it can be looked at by recursion."""

_TOKEN = re.compile(
    r"""
    (?P<space> (?: \s+ | //[^\n]* )+ )
  | (?P<string> [rRbB]{0,2} (?: \"\"\"[\s\S]*?\"\"\" | '''[\s\S]*?'''
        | "(?: [^"\\\n] | \\. )*" | '(?: [^'\\\n] | \\. )*' ) )
  | (?P<number> 0[xX][0-9a-fA-F]+[uU]? | (?: \d+\.\d+ | \.\d+ | \d+ ) (?: [eE][+-]?\d+ )? [uU]? )
  | (?P<name> [_a-zA-Z][_a-zA-Z0-9]* )
  | (?P<sign> <= | >= | == | != | && | \|\| | [-+*/%<>!?:.,()\[\]{}] )
    """,
    re.VERBOSE,
)
_LEVELS = (
    ("||",),
    ("&&",),
    ("<", "<=", ">", ">=", "==", "!=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)
_CLOSED_BY = {"[": "]", "{": "}", "(": ")"}

Kind = Literal["literal", "name", "select", "index", "call", "macro", "operator", "list", "map"]


@dataclass(frozen=True)
class Node:
    """A part of an expression.

    `text` is what it is called: a name, a field, a function, an operator, or a literal as it was written.
    What stands between operators of the same rank is one node, whose text is one of them.
    The first part of a `select`, an `index`, a method's `call` and a `macro` is what it is applied to;
    a macro's second is its variable, the others are evaluated for each element.
    """

    kind: Kind
    text: str = ""
    parts: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """This node, and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def free_names(self) -> frozenset[str]:
        """The variables that it needs from outside."""
        if self.kind == "name":
            return frozenset({self.text})
        if self.kind == "macro":
            over, variable, *body = self.parts
            inner = frozenset[str]().union(*(part.free_names() for part in body))
            return over.free_names() | inner - {variable.text}
        return frozenset[str]().union(*(part.free_names() for part in self.parts))

    def path(self) -> tuple[str, ...] | None:
        """`a.b['c']` as names; None where it is something else."""
        if self.kind == "name":
            return (self.text,)
        if self.kind not in ("select", "index"):
            return None
        before = self.parts[0].path()
        if self.kind == "select":
            return before and (*before, self.text)
        name = self.parts[1].string()
        return None if before is None or name is None else (*before, name)

    def string(self) -> str | None:
        """The text of a string that is written without escapes."""
        if self.kind == "literal" and self.text[0] in "'\"" and "\\" not in self.text:
            quote = 3 if self.text[:3] in ("'''", '"""') else 1
            return self.text[quote:-quote]
        return None

    @property
    def is_number(self) -> bool:
        """Whether it is a number that is written down."""
        return self.kind == "literal" and self.text[0] in "0123456789."


def parse(source: str) -> Node:
    """The parts of an expression.

    Raises:
        ValueError: it is longer or deeper than may be, or not written in the language.
    """
    if len(source) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} characters")
    parser = _Parser(_tokens(source))
    found = parser.expression(0)
    if parser.next[0] != "end":
        raise ValueError(f"{parser.next[1]!r} is not expected there")
    level, height = [found], 0
    while level:
        level, height = [part for node in level for part in node.parts], height + 1
    if height > _HIGHEST:
        raise ValueError(f"it has chains of more than {_HIGHEST} parts")
    return found


def _tokens(source: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{source[at : at + 10]!r} cannot be read")
        if match.lastgroup != "space":
            tokens.append((match.lastgroup, match[0]))
        at = match.end()
    return [*tokens, ("end", "its end")]


class _Parser:
    """Reads tokens from the left, one ahead."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def next(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _take(self, *signs: str) -> str | None:
        text = self.next[1]
        if text in signs:
            self._at += 1
            return text
        return None

    def _require(self, *signs: str) -> str:
        found = self._take(*signs)
        if found is None:
            raise ValueError(f"{self.next[1]!r} stands where {' or '.join(signs)} is expected")
        return found

    def expression(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        condition = self._binary(0, depth)
        if self._take("?") is None:
            return condition
        first = self._binary(0, depth + 1)
        self._require(":")
        return Node("operator", "?:", (condition, first, self.expression(depth + 1)))

    def _binary(self, level: int, depth: int) -> Node:
        if level == len(_LEVELS):
            return self._unary(depth)
        parts, signs = [self._binary(level + 1, depth)], []
        while (sign := self._take(*_LEVELS[level])) is not None:
            signs.append(sign)
            parts.append(self._binary(level + 1, depth))
        if not signs:
            return parts[0]
        return Node("operator", "+" if "+" in signs else signs[0], tuple(parts))

    def _unary(self, depth: int) -> Node:
        if (sign := self._take("!", "-")) is None:
            return self._member(depth)
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        return Node("operator", sign, (self._unary(depth + 1),))

    def _member(self, depth: int) -> Node:
        found = self._primary(depth)
        while (sign := self._take(".", "[")) is not None:
            if sign == "[":
                found = Node("index", "", (found, self.expression(depth + 1)))
                self._require("]")
                continue
            name = self._name()
            if self._take("(") is None:
                found = Node("select", name, (found,))
            else:
                found = _applied(name, found, self._items(")", depth))
        return found

    def _primary(self, depth: int) -> Node:
        kind, text = self.next
        if kind in ("string", "number") or text in ("true", "false", "null"):
            self._at += 1
            return Node("literal", text)
        if kind == "name":
            return self._named(depth)
        opened = self._require("(", "[", "{")
        if opened == "(":
            inner = self.expression(depth + 1)
            self._require(")")
            return inner
        items = self._items(_CLOSED_BY[opened], depth)
        return Node("list" if opened == "[" else "map", "", items)

    def _named(self, depth: int) -> Node:
        name = self._name()
        if self._take("(") is None:
            return Node("name", name)
        if name not in _FUNCTIONS:
            raise ValueError(f"there is no function {name!r}")
        return Node("call", name, self._items(")", depth))

    def _items(self, closing: str, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while self._take(closing) is None:
            if items:
                self._require(",", ":")
                if self._take(closing) is not None:
                    break
            items.append(self.expression(depth + 1))
        return tuple(items)

    def _name(self) -> str:
        kind, text = self.next
        if kind != "name" or text == "in":
            raise ValueError(f"{text!r} stands where a name is expected")
        self._at += 1
        return text


def _applied(name: str, to: Node, items: tuple[Node, ...]) -> Node:
    if name in MACROS:
        if len(items) not in ((2, 3) if name == "map" else (2,)) or items[0].kind != "name":
            raise ValueError(f"{name} takes a name and what to work out for each element")
        return Node("macro", name, (to, *items))
    if name not in _METHODS and not _PARTS_OF_TIME.fullmatch(name):
        raise ValueError(f"there is no function {name!r}")
    return Node("call", name, (to, *items))
