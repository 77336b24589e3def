"""The parts of a condition."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PARTS_OF_TIME = re.compile(
    r"get(FullYear|Month|Date|DayOfMonth|DayOfWeek|DayOfYear|Hours|Minutes|Seconds|Milliseconds)"
)
_WHOLE_NUMBERS = frozenset({"int", "uint", "size"})

WHOLE = "whole"
"""The function that a condition is given around what an index is, or what has to be a whole number."""
DIVISOR = "divisor"
"""The function that it is given around what something is divided by."""

LARGEST_EXACT = 2**53
"""Below it, doubles hold all whole numbers."""

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
        """Whether it is a number, whatever the values are."""
        if self.kind == "call":
            return self.text == "double" or self.is_whole
        return self.kind == "literal" and self.text[0] in "0123456789."

    @property
    def is_zero(self) -> bool:
        """Whether it is a number that is written down and is zero, as a double has it."""
        if self.kind != "literal" or not self.is_number:
            return False
        text = self.text.lower().removesuffix("u")
        return not (int(text, 16) if text.startswith("0x") else float(text))

    @property
    def is_whole(self) -> bool:
        """Whether the library calculates with it as with a whole number, whatever the values are."""
        match self.kind:
            case "literal" if self.is_number:
                text = self.text.lower().removesuffix("u")
                if text.startswith("0x"):
                    return int(text, 16) < LARGEST_EXACT
                return text.isdigit() and int(text) < LARGEST_EXACT
            case "call":
                return (
                    self.text in (*_WHOLE_NUMBERS, WHOLE)
                    or PARTS_OF_TIME.fullmatch(self.text) is not None
                )
            case "operator":
                of = self.parts[1:] if self.text == "?:" else self.parts
                return self.text in "+-*/%?:" and all(part.is_whole for part in of)
            case _:
                return False

    @property
    def inner(self) -> "Node":
        """It as it was written, without what it is put into to be calculated with."""
        return self.parts[0] if self.kind == "call" and self.text in (WHOLE, DIVISOR) else self
