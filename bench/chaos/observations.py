"""What the processes of the run's clients are told, and what they tell, a line of JSON each."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from bench.chaos.plan import ConversationPlan
from holdfast.client.views import SentMessage
from holdfast.domain.approval import ApprovalState
from holdfast.domain.model import Frozen


class Assigned(Frozen):
    """A conversation to go on with: from which round, and after which event. `ended` are the turns
    whose end was seen before."""

    plan: ConversationPlan
    round: int = 0
    after: int = 0
    ended: tuple[int, ...] = ()


class Answered(Frozen):
    """A message got its answer."""

    kind: Literal["answered"] = "answered"
    tenant: str
    conversation: str
    sent: SentMessage


class Refusal(Frozen):
    """A message was refused, by the error of this code."""

    kind: Literal["refused"] = "refused"
    tenant: str
    conversation: str
    message: str
    text: str
    code: str


class Decided(Frozen):
    """A decision was taken or refused. `state` and `by`, the id of the decision that counts, are there
    where it was taken, `code` where it was refused."""

    kind: Literal["decided"] = "decided"
    tenant: str
    approval: str
    decision: str
    state: ApprovalState | None = None
    by: str | None = None
    code: str | None = None


class Followed(Frozen):
    """An event arrived on the conversation's stream."""

    kind: Literal["followed"] = "followed"
    tenant: str
    conversation: str
    seq: int
    digest: str
    ended_turn: int | None = None


class RoundDone(Frozen):
    """A round is over, the one with this number."""

    kind: Literal["round_done"] = "round_done"
    tenant: str
    conversation: str
    round: int


class Broken(Frozen):
    """Something happened that the client has no name for."""

    kind: Literal["broken"] = "broken"
    tenant: str
    conversation: str
    problem: str


Observation = Annotated[
    Answered | Refusal | Decided | Followed | RoundDone | Broken, Field(discriminator="kind")
]

OBSERVATION: TypeAdapter[Answered | Refusal | Decided | Followed | RoundDone | Broken] = (
    TypeAdapter(Observation)
)
