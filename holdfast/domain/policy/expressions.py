"""The syntax of conditions: which names an expression uses, and what it can cost to evaluate.

The grammar is that of the Common Expression Language, as far as its library here implements it. The
library has the last word on whether an expression is one; it tells no more about it than that.
"""

import re
from collections.abc import Sequence
from itertools import zip_longest

from holdfast.domain.policy.nodes import DIVISOR, PARTS_OF_TIME, WHOLE, Node

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_METHODS = frozenset({"size", "contains", "startsWith", "endsWith", "matches"})
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
_SUMS = 3
"""The first of the levels that calculate."""
_CLOSED_BY = {"[": "]", "{": "}", "(": ")"}


def parse(source: str) -> Node:
    """The parts of an expression.

    Raises:
        ValueError: it is longer or deeper than may be, or not written in the language.
    """
    return read(source)[0]


def read(source: str) -> tuple[Node, str]:
    """The parts of an expression, and the expression for the library, which does not calculate with whole
    numbers and others together: what is written as a whole number, or is the size of something, becomes a
    double beside what may be one.

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
    return found, parser.with_calls(source)


def _tokens(source: str) -> list[tuple[str, str, int]]:
    """Their kinds and texts, and where they begin."""
    tokens: list[tuple[str, str, int]] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{source[at : at + 10]!r} cannot be read")
        if match.lastgroup != "space":
            tokens.append((match.lastgroup, match[0], at))
        at = match.end()
    return [*tokens, ("end", "its end", at)]


class _Parser:
    """Reads tokens from the left, one ahead."""

    def __init__(self, tokens: list[tuple[str, str, int]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._inserted: list[tuple[int, str]] = []

    def with_calls(self, source: str) -> str:
        """The source with the calls that numbers were put into."""
        for at, text in sorted(self._inserted, key=lambda one: one[0], reverse=True):
            source = source[:at] + text + source[at:]
        return source

    def _put_into(self, function: str, part: Node, first: int, end: int) -> Node:
        """The call of a function with the part that begins with one token and ends before another."""
        _, text, last = self._tokens[end - 1]
        self._inserted += [(self._tokens[first][2], f"{function}("), (last + len(text), ")")]
        return Node("call", function, (part,))

    @property
    def next(self) -> tuple[str, str, int]:
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
        starts = [self._at]
        first = self._binary(0, depth + 1)
        ends = [self._at]
        self._require(":")
        starts.append(self._at)
        parts = [first, self.expression(depth + 1)]
        parts = self._alike(parts, starts, [*ends, self._at])
        return Node("operator", "?:", (condition, *parts))

    def _binary(self, level: int, depth: int) -> Node:
        if level == len(_LEVELS):
            return self._unary(depth)
        starts, parts, ends, signs = [self._at], [self._binary(level + 1, depth)], [self._at], [""]
        while (sign := self._take(*_LEVELS[level])) is not None:
            signs.append(sign)
            starts.append(self._at)
            parts.append(self._binary(level + 1, depth))
            ends.append(self._at)
        if len(parts) == 1:
            return parts[0]
        if "%" in signs:
            parts = [
                part if part.is_whole else self._put_into(WHOLE, part, start, end)
                for part, start, end in zip(parts, starts, ends, strict=True)
            ]
        elif level >= _SUMS:
            parts = self._alike(parts, starts, ends, signs)
        return Node("operator", "+" if "+" in signs else signs[1], tuple(parts))

    def _alike(
        self, parts: list[Node], starts: list[int], ends: list[int], signs: Sequence[str] = ()
    ) -> list[Node]:
        """These parts, unless all are whole numbers, as what can be calculated with together."""
        if all(part.is_whole for part in parts):
            return parts
        alike: list[Node] = []
        for part, start, end, sign in zip_longest(parts, starts, ends, signs):
            if sign == "/" and (part.kind != "literal" or part.is_zero):
                alike.append(self._put_into(DIVISOR, part, start, end))
            else:
                alike.append(self._double(part, start, end))
        return alike

    def _double(self, part: Node, start: int, end: int) -> Node:
        return self._put_into("double", part, start, end) if part.is_whole else part

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
                start = self._at
                at = self.expression(depth + 1)
                if at.kind != "literal" and not at.is_whole:
                    at = self._put_into(WHOLE, at, start, self._at)
                found = Node("index", "", (found, at))
                self._require("]")
                continue
            name = self._name()
            if self._take("(") is None:
                found = Node("select", name, (found,))
            else:
                found = _applied(name, found, self._items(")", depth))
        return found

    def _primary(self, depth: int) -> Node:
        kind, text, _ = self.next
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
            start = self._at
            item = self.expression(depth + 1)
            is_key = closing == "}" and len(items) % 2 == 0
            items.append(item if closing == ")" or is_key else self._double(item, start, self._at))
        return tuple(items)

    def _name(self) -> str:
        kind, text, _ = self.next
        if kind != "name" or text == "in":
            raise ValueError(f"{text!r} stands where a name is expected")
        self._at += 1
        return text


def _applied(name: str, to: Node, items: tuple[Node, ...]) -> Node:
    if name in MACROS:
        if len(items) not in ((2, 3) if name == "map" else (2,)) or items[0].kind != "name":
            raise ValueError(f"{name} takes a name and what to work out for each element")
        return Node("macro", name, (to, *items))
    if name not in _METHODS and not PARTS_OF_TIME.fullmatch(name):
        raise ValueError(f"there is no function {name!r}")
    return Node("call", name, (to, *items))
