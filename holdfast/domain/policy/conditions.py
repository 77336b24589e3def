"""Conditions of policies: checked for what they can cost when they are loaded, and evaluated within that.

The library evaluates an expression in one go, without letting other threads run, so there is no
stopping it. What it can cost is therefore bounded before it begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cel

from holdfast.domain.policy.expressions import parse, read
from holdfast.domain.policy.nodes import DIVISOR, WHOLE, Node
from holdfast.domain.policy.numbers import FUNCTIONS, in_one_form
from holdfast.domain.policy.patterns import cost_of

VARIABLES = ("args", "facts", "customer", "conversation", "windows", "tenant")

MOST_MACROS = 8
DEEPEST_MACROS = 2
COST = 1_000_000
"""What an evaluation may cost, in steps of at most some 100 ns: a tenth of a second."""
COST_OF_ALL = 5 * COST
"""What the conditions on one action may cost together."""
MOST_VALUES = 20_000
"""Values that a condition may be evaluated on; 16 characters of a text count as one."""
_DEEPEST_VALUE = 64
_CHARACTERS_A_STEP = 16
_STEPS_A_VALUE = 10
"""Each evaluation hands all values to the library anew: 0.7 µs for one. So do functions of ours."""


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
        assert self._program is not None
        if self.least_cost > COST:
            raise ValueError("its patterns would take too long on any values")
        for node in self.tree.walk():
            if _is_match(node):
                _check_compiles(_pattern(node))

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
        return Evaluation(variables).holds(self)

    @cached_property
    def least_cost(self) -> int:
        """What its patterns cost, whatever the values are."""
        return int(self._shape.compiling * self._shape.nodes**self._shape.reach)

    def cost(self, size: int, longest: int) -> int:
        """A bound: each step looks at all values at most, once for each element of each macro whose body
        looks at something else than that element; and what `map` makes can be larger than what it was
        made of by what its body adds together."""
        shape = self._shape
        often = max(longest, shape.nodes) ** shape.reach
        once = shape.steps * size + shape.compiling
        return int(_STEPS_A_VALUE * size + often * shape.growth * once)

    @cached_property
    def _shape(self) -> "_Shape":
        nodes = list(self.tree.walk())
        patterns = [cost_of(_pattern(node)) for node in nodes if _is_match(node)]
        added = 1 + sum(len(node.parts) for node in nodes if node.text == "+")
        added += sum(len(node.parts) for node in nodes if node.kind in ("list", "map"))
        maps = sum(node.kind == "macro" and node.text == "map" for node in nodes)
        return _Shape(
            nodes=len(nodes),
            steps=len(nodes)
            + sum(one.searching for one in patterns)
            + sum(_STEPS_A_VALUE for node in nodes if node.text in (WHOLE, DIVISOR)),
            compiling=sum(one.compiling for one in patterns),
            reach=_reach(self.tree),
            growth=added**maps,
        )

    def answer(self, variables: dict[str, Any]) -> object:
        """What it gives, whatever that costs."""
        return _guarded(lambda: self._program.execute(cel.Context(variables, FUNCTIONS)))

    @cached_property
    def _program(self) -> Any:
        return _guarded(lambda: cel.compile(read(self.source)[1]))


def compiling(source: str) -> int:
    """What compiling the patterns of an expression takes, in steps, found without doing it; 0 where it can't be
    read, which a `Condition` says."""
    try:
        matches = [node for node in parse(source).walk() if _is_match(node)]
        return sum(cost_of(_pattern(node)).compiling for node in matches)
    except ValueError:
        return 0


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """What of an expression its cost follows from."""

    nodes: int
    steps: int
    compiling: int
    reach: int
    growth: int


class Evaluation:
    """Evaluates the conditions on one action, on the same values, within what they may cost together."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables: dict[str, Any] = {}
        self._left = COST_OF_ALL
        self._measured: tuple[int, int] | str
        try:
            self._measured = _measure(variables)
            self._variables = {name: in_one_form(value) for name, value in variables.items()}
        except TooCostly as costly:
            self._measured = str(costly)

    def holds(self, condition: Condition) -> bool:
        """Whether the condition is true.

        Raises:
            Exception: whatever the expression raises on these values.
            TooCostly: they are too many, or the conditions before it have cost too much.
        """
        if isinstance(self._measured, str):
            raise TooCostly(self._measured)
        cost = condition.cost(*self._measured)
        if cost > COST:
            raise TooCostly(f"it would take too long on {self._measured[0]} values")
        if cost > self._left:
            raise TooCostly("the conditions before it have cost what those of one action may")
        self._left -= cost
        answer = condition.answer(self._variables)
        if not isinstance(answer, bool):
            raise TypeError(f"it gave a {type(answer).__name__} instead of true or false")
        return answer


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


def _pattern(match: Node) -> str:
    """The pattern of a `matches`, as the library reads it: escapes could hide a repetition."""
    written = match.parts[1] if len(match.parts) == 2 else match
    if written.kind == "literal":
        found = _guarded(lambda: cel.compile(written.text).execute({}))
        if isinstance(found, str):
            return found
    raise ValueError("matches takes one pattern, which is written down")


def _check_compiles(pattern: str) -> None:
    """The library compiles patterns when it evaluates them, too late for the author of a wrong one."""
    try:
        cel.compile("''.matches(pattern)").execute({"pattern": pattern})
    except RuntimeError as error:
        *_, why = str(error).splitlines()
        why = why.removeprefix("error: ").removesuffix(
            ". Check function arguments and their types."
        )
        raise ValueError(f"the pattern {pattern!r} cannot be read: {why}") from None


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
