"""What the oracle has found."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Wrong = Literal["lost", "duplicated", "diverged", "forbidden"]


@dataclass
class Verdict:
    """Everything that is wrong, and how much was looked at."""

    problems: list[tuple[Wrong, str]] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    def lost(self, what: str) -> None:
        """Something that should be there is not."""
        self.problems.append(("lost", what))

    def duplicated(self, what: str) -> None:
        """Something is there more often than once."""
        self.problems.append(("duplicated", what))

    def diverged(self, what: str) -> None:
        """Something is another thing than it should be."""
        self.problems.append(("diverged", what))

    def forbidden(self, what: str) -> None:
        """Something was done that the rules did not allow at that moment."""
        self.problems.append(("forbidden", what))

    def count(self, wrong: Wrong) -> int:
        """How many problems are of this kind."""
        return sum(kind == wrong for kind, _ in self.problems)
