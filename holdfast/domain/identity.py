"""What names a conversation, a turn, a step and an action. Each key is one of the level above, too, so that
what asks for a conversation's takes a turn's.

Requests say the same in flat fields, which read well in Temporal's UI. A key gives its `fields` to build
them, and they give it back as their `key`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from holdfast.domain.ids import derived_id
from holdfast.domain.model import Frozen


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """A conversation of a tenant."""

    tenant: str
    conversation: str

    @classmethod
    def of_workflow(cls, workflow_id: str) -> "ConversationKey":
        """The conversation that has this `workflow_id`."""
        tenant, _, conversation = workflow_id.partition("/")
        return ConversationKey(tenant, conversation)

    @property
    def workflow_id(self) -> str:
        """The id of its workflow in Temporal: `{tenant}/{conversation}`."""
        return f"{self.tenant}/{self.conversation}"

    @property
    def fields(self) -> dict[str, Any]:
        """What a request repeats of the key: `RecallRequest(**key.fields, message_id="m1")`."""
        return asdict(self)

    def turn_key(self, turn: int) -> "TurnKey":
        """One of its turns, counted from 1."""
        return TurnKey(self.tenant, self.conversation, turn)


@dataclass(frozen=True, slots=True)
class TurnKey(ConversationKey):
    """A turn of a conversation."""

    turn: int

    def step_key(self, step: int) -> "StepKey":
        """One of its steps, counted from 1."""
        return StepKey(self.tenant, self.conversation, self.turn, step)


@dataclass(frozen=True, slots=True)
class StepKey(TurnKey):
    """A step of a turn, and what it proposes."""

    step: int

    @property
    def approval_id(self) -> str:
        """The id of the approval of its proposal."""
        return derived_id("ap", self.tenant, self.conversation, self.turn, self.step)

    def action_key(self, index: int) -> "ActionKey":
        """One of the actions of its proposal, counted from 0."""
        return ActionKey(self.tenant, self.conversation, self.turn, self.step, index)


@dataclass(frozen=True, slots=True)
class ActionKey(StepKey):
    """An action of a step's proposal."""

    index: int

    @property
    def action_id(self) -> str:
        """The action's id, which is also its idempotency key."""
        return derived_id("act", self.tenant, self.conversation, self.turn, self.step, self.index)


class ConversationRequest(Frozen):
    """A request that concerns a conversation."""

    tenant: str
    conversation: str

    @property
    def key(self) -> ConversationKey:
        """The conversation."""
        return ConversationKey(self.tenant, self.conversation)


class TurnRequest(ConversationRequest):
    """A request that concerns a turn."""

    turn: int

    @property
    def key(self) -> TurnKey:
        """The turn."""
        return TurnKey(self.tenant, self.conversation, self.turn)
