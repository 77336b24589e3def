"""What the patterns of conditions (`matches`) cost: they are compiled anew whenever they are evaluated."""

import re
from dataclasses import dataclass

LONGEST_PATTERN = 200
MOST_REPETITIONS = 100

# In steps of 100 ns, as conditions count. Measured for each copy that repetitions make of a part: to compile
# it takes 290 µs for \w, 205 µs for \pL, 67 µs for \D, 23 µs for \d, 4 µs for `.` and [^a], 1 µs at most for
# others, with (?i); to look through 16 characters takes 1 µs for a class, and 0.14 µs for others.
_COMPILING = 300
_COMPILING_PARTS = (
    (re.compile(r"\\[wWpP]"), 3_000),
    (re.compile(r"\\[dDsS]"), 700),
    (re.compile(r"[.^]"), 50),
)
_COMPILING_OTHERS = 10
_SEARCHING_CLASSES = 10
_SEARCHING_OTHERS = 2

_PART = re.compile(r"\\[pPxuU]\{[^}]*\}|\\[pP].|\\.|\{[\d,\s]*\}|.", re.DOTALL)
_VERBOSE = re.compile(r"\(\?[a-wyzA-Z-]*x")


@dataclass(frozen=True, kw_only=True)
class PatternCost:
    """Steps to compile a pattern once, and to look through 16 characters with it."""

    compiling: int
    searching: int


def cost_of(pattern: str) -> PatternCost:
    """What a pattern costs; its repetitions count as if all were within each other.

    Raises:
        ValueError: it is longer, or repeats more, than may be, or what it repeats can't be told.
    """
    if _VERBOSE.search(pattern):
        raise ValueError("a pattern has the flag x, with which its repetitions can't be told")
    parts = _PART.findall(pattern)
    copies = 1
    for part in parts:
        copies *= _copies(part)
    if len(pattern) > LONGEST_PATTERN or copies > MOST_REPETITIONS:
        raise ValueError(
            f"a pattern has more than {LONGEST_PATTERN} characters or {MOST_REPETITIONS} repetitions"
        )
    compiling = [_compiling(part) for part in parts]
    searching = (
        _SEARCHING_OTHERS if steps == _COMPILING_OTHERS else _SEARCHING_CLASSES
        for steps in compiling
    )
    return PatternCost(
        compiling=_COMPILING + copies * sum(compiling), searching=copies * sum(searching)
    )


def _copies(part: str) -> int:
    """How many copies `{2,3}` makes of what is before it; 1 for everything else."""
    counts = re.findall(r"\d+", part) if part.startswith("{") else []
    return max((int(count) for count in counts), default=1) or 1


def _compiling(part: str) -> int:
    return next((steps for kind, steps in _COMPILING_PARTS if kind.match(part)), _COMPILING_OTHERS)
