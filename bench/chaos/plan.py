"""What the customers and reviewers of a run will do, worked out from its seed alone."""

import random
from collections.abc import Iterator
from typing import Literal

from bench.chaos.wording import Wish, written
from holdfast.domain.conversation import OnBusy
from holdfast.domain.model import Frozen

RoundKind = Literal[
    "one",
    "many",
    "decided",
    "expired",
    "withdrawn",
    "cancelled",
    "interrupted",
    "again",
    "reopened",
]
DecisionChoice = Literal["accept", "edit", "reject", "respond"]

_ROUNDS = 7
_WEIGHTS: dict[RoundKind, int] = {
    "one": 6,
    "many": 4,
    "decided": 5,
    "expired": 1,
    "withdrawn": 1,
    "cancelled": 2,
    "interrupted": 2,
    "again": 3,
    "reopened": 1,
}

MUCH = 150
"""An amount that the policy of the counters lets a person decide about."""
EDITED = 120
"""What an edit makes of it."""
VERY_MUCH = 250
"""An amount for which the policy waits two seconds only."""


class PlannedMessage(Frozen):
    """A message, sent once for each of `delays`, in seconds from the beginning of its round."""

    id: str
    text: str
    delays: tuple[float, ...] = (0.0,)
    on_busy: OnBusy = "queue"
    conflicts: bool = False
    """Whether its id was used before with another text."""


class PlannedDecision(Frozen):
    """A decision on the approval of a round; two under one id are the same one, sent twice."""

    id: str
    kind: DecisionChoice


class Round(Frozen):
    """Messages that are sent together, and what is done about them. The next round begins when all are
    answered and no turn waits for anybody."""

    kind: RoundKind | Literal["retail", "shopping"]
    messages: tuple[PlannedMessage, ...]
    decisions: tuple[PlannedDecision, ...] = ()
    reviewer_accepts: bool = False
    """Whether a reviewer accepts whatever waits, one after the other."""
    accepts_after: float = 0.0
    """How many seconds the reviewer takes before that."""
    withdraw: bool = False
    """Whether the turn is cancelled once it waits for an approval."""
    cancel_after: float | None = None
    """Seconds after which the turn that runs then is cancelled."""
    close_first: bool = False
    """Whether the conversation is closed before."""

    @property
    def about_counters(self) -> bool:
        """Whether its messages say what they add to which counter."""
        return self.kind not in ("retail", "shopping")


class ConversationPlan(Frozen):
    """A conversation from its first message to its last."""

    tenant: str
    conversation: str
    customer: str
    rounds: tuple[Round, ...]

    def messages(self) -> dict[str, PlannedMessage]:
        """Each message as it is sent first, by its id."""
        return {message.id: message for message, _ in self.firsts()}

    def firsts(self) -> list[tuple[PlannedMessage, Round]]:
        """Each message with the round in which it is sent first."""
        found: dict[str, tuple[PlannedMessage, Round]] = {}
        for one in self.rounds:
            for message in one.messages:
                found.setdefault(message.id, (message, one))
        return list(found.values())


def counter_plans(seed: int, slot: int, tenant: str) -> Iterator[ConversationPlan]:
    """One conversation after the other, without end."""
    number = 0
    while True:
        yield _Conversation(random.Random(f"{seed}-{slot}-{number}"), f"c{slot}-{number}").plan(
            tenant
        )
        number += 1


class _Conversation:
    def __init__(self, chance: random.Random, name: str) -> None:
        self._chance = chance
        self._name = name
        self._written: list[PlannedMessage] = []

    def plan(self, tenant: str) -> ConversationPlan:
        kinds = self._chance.choices([*_WEIGHTS], weights=[*_WEIGHTS.values()], k=_ROUNDS - 1)
        return ConversationPlan(
            tenant=tenant,
            conversation=self._name,
            customer=f"customer-{self._name}",
            rounds=tuple(self._round(kind) for kind in ("one", *kinds)),
        )

    def _round(self, kind: RoundKind) -> Round:
        match kind:
            case "one":
                return Round(kind=kind, messages=(self._message(self._small()),))
            case "many":
                several = [self._message(self._small(), copies=2) for _ in range(3)]
                self._chance.shuffle(several)
                return Round(kind=kind, messages=tuple(several))
            case "decided":
                asking = self._message(((self._few(),), (MUCH,))[self._chance.randint(0, 1) :])
                return Round(kind=kind, messages=(asking,), decisions=self._decisions(asking.id))
            case "expired":
                return Round(kind=kind, messages=(self._message(((VERY_MUCH,),)),))
            case "withdrawn":
                return Round(kind=kind, messages=(self._message(((MUCH,),)),), withdraw=True)
            case "cancelled":
                slow = self._message(((), (self._few(),)), slow=self._chance.uniform(0.2, 1.0))
                return Round(
                    kind=kind, messages=(slow,), cancel_after=self._chance.uniform(0.1, 1.0)
                )
            case "interrupted":
                slow = self._message(((self._few(),), ()), slow=self._chance.uniform(0.2, 1.0))
                urgent = self._message(
                    self._small(), delay=self._chance.uniform(0.1, 0.8), on_busy="interrupt"
                )
                return Round(kind=kind, messages=(slow, urgent))
            case "again":
                return Round(kind=kind, messages=self._repeated())
            case "reopened":
                repeated = self._repeated()
                fresh = self._message(self._small())
                return Round(kind=kind, messages=(*repeated, fresh), close_first=True)

    def _message(
        self,
        steps: tuple[tuple[int, ...], ...],
        *,
        slow: float = 0.0,
        copies: int = 1,
        delay: float = 0.0,
        on_busy: OnBusy = "queue",
    ) -> PlannedMessage:
        id_ = f"{self._name}.m{len(self._written)}"
        later = (self._chance.uniform(0.0, 0.5) for _ in range(copies - 1))
        message = PlannedMessage(
            id=id_,
            text=written(Wish(message=id_, steps=steps, slow=round(slow, 2))),
            delays=(delay, *later),
            on_busy=on_busy,
        )
        self._written.append(message)
        return message

    def _repeated(self) -> tuple[PlannedMessage, ...]:
        """Some of the messages before, and one whose id has another text now."""
        again = self._chance.sample(self._written, k=min(2, len(self._written)))
        other = again[0].model_copy(
            update={"text": f"{again[0].text} think", "conflicts": True, "delays": (0.0,)}
        )
        return (*(one.model_copy(update={"delays": (0.0,)}) for one in again), other)

    def _small(self) -> tuple[tuple[int, ...], ...]:
        return self._chance.choice(
            [
                (),
                ((self._few(),),),
                ((), (self._few(),)),
                ((), (self._few(), self._few() + 20)),
                ((self._few(),), (), (self._few() + 40,)),
            ]
        )

    def _few(self) -> int:
        """A small amount; not one of those that the counters refuse."""
        return self._chance.choice([3, 5, 8, 9, 11, 12, 14, 16, 17, 19])

    def _decisions(self, message: str) -> tuple[PlannedDecision, ...]:
        kinds: list[DecisionChoice] = ["accept", "accept", "edit", "reject", "respond"]
        first = PlannedDecision(id=f"{message}.d1", kind=self._chance.choice(kinds))
        match self._chance.choice(["alone", "twice", "against"]):
            case "twice":
                return (first, first)
            case "against":
                return (
                    first,
                    PlannedDecision(id=f"{message}.d2", kind=self._chance.choice(kinds)),
                )
            case _:
                return (first,)
