"""What was done to whom, and when."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.chaos.clients import ConversationKey

Victim = Literal["worker", "client", "temporal", "postgres"]
HarmKind = Literal["killed", "frozen"]


@dataclass(frozen=True, kw_only=True)
class Harm:
    """A kill or a freeze. `at` is in seconds since the epoch, `until` the end of a freeze or of the
    restart of a server. `point` is the fault point at which a worker has killed itself. `affected` are
    the conversations that the victim worked for, where that is known."""

    kind: HarmKind
    victim: Victim
    at: float
    until: float
    point: str | None = None
    affected: Sequence[ConversationKey] = ()

    @property
    def name(self) -> str:
        """What it is counted as."""
        return f"{self.victim} {self.kind}" + (f" {self.point}" if self.point else "")


@dataclass
class Journal:
    """All harm that was done, and what went wrong in doing it."""

    harm: list[Harm] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """Processes that ended though nobody had killed them."""

    def count(self) -> Counter[str]:
        """How often each kind of harm was done."""
        return Counter(one.name for one in self.harm)

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(one.kind == "killed" for one in self.harm)

    def latest(self, since: float, until: float) -> Harm | None:
        """The harm in between that began last."""
        between = [one for one in self.harm if one.at <= until and since <= one.until]
        return max(between, key=lambda one: one.at, default=None)

    def only(self, harm: Harm, *, until: float) -> bool:
        """Whether nothing but clients was harmed otherwise, from this harm on."""
        return all(
            one is harm or one.victim == "client" or one.at > until or one.until < harm.at
            for one in self.harm
        )

    def doubts(self, since: float, until: float) -> bool:
        """Whether, in between, two workers may have run the same step: one that was frozen or cut off from
        its servers is alive after another has taken over."""
        return any(
            (one.kind == "frozen" or one.victim in ("temporal", "postgres"))
            and one.at <= until
            and since <= one.until + _AFTERMATH_SECONDS
            for one in self.harm
        )


_AFTERMATH_SECONDS = 5.0


def now() -> float:
    """Seconds since the epoch, the clock of the database's records as well."""
    return time.time()
