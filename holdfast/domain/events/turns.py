"""Turns: where they go, how they end, and what their models and graphs run into."""

from typing import Literal

from pydantic import Field

from holdfast.domain.conversation import TurnStatus
from holdfast.domain.events.payload import Payload, optional
from holdfast.domain.limits import AnswerBound
from holdfast.domain.outcomes import PriorityName

AnswerFault = Literal[
    "shape", "empty", "cut", "filtered", "markup", "length", "calls", "arguments", "tool", "schema"
]
"""What is wrong with a model's answer, in a word."""


class TurnRouted(Payload):
    """Triage has chosen the agent that answers."""

    type = "turn_routed"

    agent: str = Field(description="The agent.", examples=["support"])
    intent: str = Field(
        description="What the customer wants, in triage's words.", examples=["order_status"]
    )
    confidence: float = Field(
        description="How sure triage is, from 0 to 1.", ge=0, le=1, examples=[0.93]
    )
    priority: PriorityName = Field(
        description="The conversation's priority from here on.", examples=["normal"]
    )
    language: str = Field(description="The language that the customer writes.", examples=["en"])


class TurnHandedOff(Payload):
    """An agent has passed the turn on to another one."""

    type = "turn_handed_off"

    from_: str = Field(
        alias="from", description="The agent that passed it on.", examples=["knowledge"]
    )
    to: str = Field(description="The agent that goes on.", examples=["support"])
    note: str = Field(
        description="What the first tells the second; may be empty.",
        examples=["They want to cancel an order."],
    )


class TurnDelayed(Payload):
    """The turn waits, and the customer was told so by a message. Once for each turn."""

    type = "turn_delayed"

    reason: str = Field(description="What it waits for.", examples=["no model answers"])


class TurnEnded(Payload):
    """The turn is over: answered by an agent, or ended by the platform. A turn that an agent ends by calling
    a person is in `awaiting_human` instead."""

    type = "turn_ended"

    status: TurnStatus = Field(
        description="How. `awaiting_human` where a person goes on: something was done before the turn failed "
        "or was cancelled, or trying again would not help.",
        examples=["cancelled"],
    )
    reason: str | None = optional(
        "Why the platform ended it; absent where an agent answered.", example="cancelled on request"
    )


class AwaitingHuman(Payload):
    """The turn has ended with a call for a person: an agent or triage asked for one, or something was done
    and a part of the rest has failed, or was refused in the same proposal. A turn that the platform ends
    itself is in `turn_ended` instead."""

    type = "awaiting_human"

    status: Literal["awaiting_human"] = Field(
        default="awaiting_human", description="How it ended.", examples=["awaiting_human"]
    )
    reason: str = Field(
        description="Why, for the person who takes over.",
        examples=["the customer asks for a person"],
    )


class AnswerUnusable(Payload):
    """A model gave an answer that can't be used; it was told so, or another provider was asked."""

    type = "answer_unusable"

    node: str = Field(description="The node of the graph that asked.", examples=["answer"])
    provider: str = Field(description="The provider that answered.", examples=["openai"])
    model: str = Field(description="Its model.", examples=["gpt-5-mini"])
    fault: AnswerFault = Field(description="What is wrong, in a word.", examples=["arguments"])


class BoundReached(Payload):
    """A model's answer, a graph's reply or a turn's model calls came to one of their bounds."""

    type = "bound_reached"

    node: str | None = optional(
        "The node that asked the model, or the agent whose reply was cut; absent for the bounds "
        "of a turn.",
        example="answer",
    )
    provider: str | None = optional(
        "The provider that answered; absent where it is no model's answer.", example="openai"
    )
    model: str | None = optional("Its model; absent like `provider`.", example="gpt-5-mini")
    bound: AnswerBound = Field(
        description="The setting, under `HOLDFAST_ANSWERS`.", examples=["reply_characters"]
    )
    limit: int | str = Field(
        description="Its value; US dollars as a decimal number in a string.", examples=[32000]
    )


class NodeBlockedWorker(Payload):
    """A node of the graph, or an action, kept its worker from doing anything else for too long."""

    type = "node_blocked_worker"

    node: str = Field(
        description="What ran: `node` or `activity`, and its name.", examples=["node answer"]
    )
    where: str = Field(
        description="The line of code that it was at.", examples=["graph.py:42 in answer"]
    )
    seconds: float = Field(description="For how long.", examples=[7.5])
