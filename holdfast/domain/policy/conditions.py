"""Conditions of policies: checked for what they can cost when they are loaded, and evaluated within that.

The library evaluates an expression in one go, without letting other threads run, so there is no
stopping it. What it can cost is therefore bounded before it begins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cel

from holdfast.domain.policy.expressions import Node, parse

VARIABLES = ("args", "facts", "customer", "conversation", "windows", "tenant")

MOST_MACROS = 8
DEEPEST_MACROS = 2
LONGEST_PATTERN = 200
COST = 1_000_000
"""What an evaluation may cost, in steps of at most some 100 ns: a tenth of a second."""
MOST_VALUES = 20_000
"""Values that a condition may be evaluated on; 16 characters of a text count as one."""
_DEEPEST_VALUE = 64
_CHARACTERS_A_STEP = 16
_STEPS_A_PATTERN = 20

_REPEATED = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_MOST_REPETITIONS = 100


class TooCostly(Exception):
    """These values are too many or too deep to evaluate the condition on them."""


@dataclass(frozen=True)
class Condition:
    """An expression that gives true or false.

    Raises:
        ValueError: it cannot be read, could cost too much, or uses a name that no condition sees.
    """

    source: str

    def __post_init__(self) -> None:
        unknown = self.tree.free_names() - set(VARIABLES)
        if unknown:
            raise ValueError(
                f"it names {', '.join(sorted(unknown))}; conditions see {', '.join(VARIABLES)}"
            )
        _check_windows(self.tree)
        _check_macros(self.tree)
        _check_patterns(self.tree)
        assert self._program is not None

    @cached_property
    def tree(self) -> Node:
        """Its parts."""
        return parse(self.source)

    @cached_property
    def windows(self) -> frozenset[str]:
        """The windows that it names."""
        return frozenset(path[1] for path in self.paths() if path[0] == "windows")

    def paths(self) -> frozenset[tuple[str, ...]]:
        """What it looks at: `("facts", "refund_amount")`. Longest paths only, and none from variables
        of its own."""
        return frozenset(_paths(self.tree, frozenset()))

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Whether it is true.

        Raises:
            Exception: whatever the expression raises on these values.
            TooCostly: they are too many.
        """
        size, longest = _measure(variables)
        if self._cost(size, longest) > COST:
            raise TooCostly(f"it would take too long on {size} values")
        answer = _guarded(lambda: self._program.execute(dict(variables)))
        if not isinstance(answer, bool):
            raise TypeError(f"it gave a {type(answer).__name__} instead of true or false")
        return answer

    def _cost(self, size: int, longest: int) -> int:
        """A bound: each step looks at all values at most, once for each element of each macro whose body
        looks at something else than that element; and what `map` makes can be larger than what it was
        made of by what its body adds together."""
        nodes = list(self.tree.walk())
        patterns = [node.parts[1].text for node in nodes if _is_match(node)]
        steps = len(nodes) + _STEPS_A_PATTERN * sum(map(len, patterns))
        added = 1 + sum(len(node.parts) for node in nodes if node.text == "+")
        added += sum(len(node.parts) for node in nodes if node.kind in ("list", "map"))
        maps = sum(node.kind == "macro" and node.text == "map" for node in nodes)
        elements = max(longest, len(nodes))
        return int(steps * size * elements ** _reach(self.tree) * added**maps)

    @cached_property
    def _program(self) -> Any:
        return _guarded(lambda: cel.compile(self.source))


def _guarded(work: Any) -> Any:
    """What `work` gives; a panic of the library, which is no `Exception`, becomes one."""
    try:
        return work()
    except ValueError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("it cannot be evaluated") from None


def _check_windows(tree: Node) -> None:
    for node in tree.walk():
        for part in node.parts:
            if part == Node("name", "windows") and node.path() is None:
                raise ValueError("windows are looked at by their names alone: windows.refunds_30d")
    if tree == Node("name", "windows"):
        raise ValueError("windows are looked at by their names alone: windows.refunds_30d")


def _check_macros(tree: Node) -> None:
    macros = [node for node in tree.walk() if node.kind == "macro"]
    if len(macros) > MOST_MACROS:
        raise ValueError(f"it has more than {MOST_MACROS} of all, exists, filter and map")
    if _nesting(tree) > DEEPEST_MACROS:
        raise ValueError(f"all, exists, filter and map are nested more than {DEEPEST_MACROS} deep")


def _check_patterns(tree: Node) -> None:
    for node in tree.walk():
        if _is_match(node):
            pattern = node.parts[1].text if len(node.parts) == 2 else ""
            if len(node.parts) != 2 or node.parts[1].kind != "literal" or pattern[:1].isdigit():
                raise ValueError("matches takes one pattern, which is written down")
            counts = [int(most or least) for least, most in _REPEATED.findall(pattern)]
            repetitions = 1
            for count in counts:
                repetitions *= max(1, min(count, 10**6))
            if len(pattern) > LONGEST_PATTERN or repetitions > _MOST_REPETITIONS:
                raise ValueError(
                    f"a pattern has more than {LONGEST_PATTERN} characters or {_MOST_REPETITIONS} "
                    "repetitions"
                )


def _is_match(node: Node) -> bool:
    return node.kind == "call" and node.text == "matches"


def _nesting(node: Node) -> int:
    if node.kind != "macro":
        return max((_nesting(part) for part in node.parts), default=0)
    over, _, *body = node.parts
    return max(_nesting(over), 1 + max((_nesting(part) for part in body), default=0))


def _reach(node: Node) -> int:
    """How many macros around each other look at more than their own element."""
    if node.kind != "macro":
        return max((_reach(part) for part in node.parts), default=0)
    over, variable, *body = node.parts
    # A pattern is compiled anew for each element.
    outside = any(
        part.free_names() - {variable.text} or any(map(_is_match, part.walk())) for part in body
    )
    return max(_reach(over), outside + max((_reach(part) for part in body), default=0))


def _paths(node: Node, bound: frozenset[str]) -> set[tuple[str, ...]]:
    path = node.path()
    if path is not None:
        return set() if path[0] in bound else {path}
    if node.kind != "macro":
        return {path for part in node.parts for path in _paths(part, bound)}
    over, variable, *body = node.parts
    inner = bound | {variable.text}
    return _paths(over, bound) | {path for part in body for path in _paths(part, inner)}


def _measure(variables: Mapping[str, Any]) -> tuple[int, int]:
    """How many values these are, long texts counting as several, and how many the longest list has."""
    size = longest = 0
    level: list[Any] = [variables]
    for _ in range(_DEEPEST_VALUE):
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                longest = max(longest, len(value))
                below += (*value.keys(), *value.values())
            elif isinstance(value, list | tuple):
                longest = max(longest, len(value))
                below += value
            size += 1 + (len(value) // _CHARACTERS_A_STEP if isinstance(value, str) else 0)
        if size > MOST_VALUES:
            raise TooCostly(f"it looks at more than {MOST_VALUES} values")
        if not below:
            return size, longest
        level = below
    raise TooCostly(f"it looks at values that are nested more than {_DEEPEST_VALUE} levels deep")
