"""Conversations: their messages, and the people who hold them."""

from typing import Literal

from pydantic import Field

from holdfast.domain.events.payload import Payload, optional


class ConversationOpened(Payload):
    """The conversation's first message has come; its records were created."""

    type = "conversation_opened"
    of_turn = False


class ConversationReopened(Payload):
    """The customer has written to a conversation that was closed."""

    type = "conversation_reopened"
    of_turn = False


class ConversationForked(Payload):
    """The conversation began as a copy of another one, up to and including the event's turn."""

    type = "conversation_forked"

    from_: str = Field(
        alias="from", description="The conversation that was copied.", examples=["mara-1"]
    )


class ConversationClosed(Payload):
    """The conversation was closed. A new message of the customer reopens it."""

    type = "conversation_closed"
    of_turn = False

    reason: str = Field(
        description="Why: what was said when it was closed; `idle` where nobody wrote for a while.",
        examples=["idle"],
    )
    farewell: str | None = optional(
        "What the customer is told where it is `idle`.",
        example="This conversation was closed since nobody wrote for a while.",
    )


class NewMessageReceived(Payload):
    """`MessageReceived` before the statement that records the message has numbered it."""

    type = "message_received"

    message_id: str | None = optional(
        "The id that the client gave it; only some events of earlier versions lack it.",
        example="5f3c9a",
    )
    role: Literal["customer"] = Field(
        default="customer", description="Who said it.", examples=["customer"]
    )


class MessageReceived(NewMessageReceived):
    """A message of the customer was recorded: their turn has begun."""

    message: int = Field(description="The message's number in the conversation.", examples=[3])


class NewMessageSent(Payload):
    """`MessageSent` before the statement that records the message has numbered it."""

    type = "message_sent"

    role: Literal["assistant", "human", "note", "notice"] = Field(
        description="Who said it: an agent (`assistant`) or a person (`human`); a `note` is one person's "
        "to the agents, which the customer does not see, and a `notice` is the platform's own.",
        examples=["assistant"],
    )


class MessageSent(NewMessageSent):
    """A message that is not the customer's was recorded: an answer, a follow-up, a note."""

    message: int = Field(description="The message's number in the conversation.", examples=[4])


class TakenOver(Payload):
    """A person has taken the conversation; agents keep quiet until it is handed back."""

    type = "taken_over"
    of_turn = False

    reviewer: str = Field(description="The person.", examples=["lena"])


class HandedBack(Payload):
    """The person who held the conversation has given it back to the agents."""

    type = "handed_back"
    of_turn = False

    note: str | None = optional(
        "What the agents should know; absent where there was nothing to say.",
        example="She gets a new one; the old one may be kept.",
    )
