"""How the attempts at a piece of work have ended, from one to the next."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tally:
    """How the attempts before this one have ended. It travels from attempt to attempt in their heartbeats,
    which Temporal keeps."""

    failures: int = 0
    """Those that count: brought code raised, took too long, or blocked the worker."""
    heard: int = 0
    """The number of the last one that said how it ended; those after it were lost."""
    reason: str = ""
    """How the last one that counts has ended, in short."""

    @classmethod
    def carried(cls, details: tuple[Any, ...]) -> "Tally":
        """The tally in the last heartbeat of the attempts before; empty where none was sent."""
        match details:
            case (_, _, int(failures), int(heard), str(reason), *_):
                return cls(failures, heard, reason)
            case _:
                return cls()

    def failed(self, attempt: int, reason: str) -> "Tally":
        """With this one, which counts."""
        return Tally(self.failures + 1, attempt, reason[:200])

    def passed_over(self, attempt: int) -> "Tally":
        """With this one, which does not count."""
        return Tally(self.failures, attempt, self.reason)
