"""What a node tells a model about the conversation, and the tool that passes a turn on."""

from collections.abc import Sequence
from typing import Annotated

from openai.types.chat import ChatCompletionMessageParam
from pydantic import Field, ValidationError

from holdfast.contract.chat import Tool, ToolCall
from holdfast.contract.subgraph import AgentCard, TranscriptMessage, TurnContext
from holdfast.domain.model import Strict
from holdfast.domain.outcomes import Handoff
from holdfast.domain.past import in_words

HAND_OVER_TO = "hand_over_to"


def dialogue(
    transcript: Sequence[TranscriptMessage],
    *,
    latest: int | None = None,
    context: TurnContext | None = None,
) -> list[ChatCompletionMessageParam]:
    """The `latest` messages of a transcript (all, without it) as messages to a model, oldest first.

    With `context`, a system message before them says what was done for the customer in earlier turns
    and what still waits, where there is any: without it, a model does things twice.

    A person of the staff speaks as the assistant does; a note of the staff comes as a system message,
    and so does the summary of what was said before the transcript begins, whatever `latest` is.
    """
    messages: list[ChatCompletionMessageParam] = []
    summary = [message for message in transcript[:1] if message.role == "summary"]
    spoken = transcript[len(summary) :]
    if context is not None and (known := past(context)):
        messages.append({"role": "system", "content": known})
    for message in [*summary, *(spoken if latest is None else spoken[-latest:])]:
        match message.role:
            case "summary":
                messages.append(
                    {"role": "system", "content": f"What was said before: {message.text}"}
                )
            case "customer":
                messages.append({"role": "user", "content": message.text})
            case "assistant" | "human":
                messages.append({"role": "assistant", "content": message.text})
            case "note":
                messages.append(
                    {"role": "system", "content": f"Note from the staff: {message.text}"}
                )
    return messages


def past(context: TurnContext) -> str:
    """What was done for the customer and what waits, in words for a prompt; "" where there is nothing."""
    return in_words(context.executed, context.waiting, conversation=context.conversation)


def last_words(transcript: Sequence[TranscriptMessage]) -> str:
    """The customer's latest message, or "" where there is none."""
    return next((m.text for m in reversed(transcript) if m.role == "customer"), "")


def agent_list(agents: Sequence[AgentCard]) -> str:
    """Agents for a prompt, a line "- name: description" each."""
    return "\n".join(f"- {agent.name}: {agent.description}" for agent in agents)


def handover_note(note: str) -> str:
    """The line of a prompt that says why another agent passed this turn on; empty without a note.

    It is one line whatever the note is: agents quote customers in it.
    """
    said = " ".join(note.split())
    return f"Another agent handed this message over to you: {said}" if said else ""


def handover_tool(agents: Sequence[AgentCard]) -> Tool:
    """The tool by which a model passes the turn to one of `agents`."""
    names = [agent.name for agent in agents]
    return Tool(
        name=HAND_OVER_TO,
        description="Pass this message to another agent, when it is clearly theirs to answer:\n"
        + agent_list(agents),
        lenient=True,
        parameters={
            "type": "object",
            "properties": {
                "agent": {"type": "string", "enum": names, "description": "Who goes on."},
                "note": {
                    "type": "string",
                    "description": "What the other agent should know, in a sentence.",
                },
            },
            "required": ["agent", "note"],
            "additionalProperties": False,
        },
    )


class _Handover(Strict):
    agent: str
    note: Annotated[str, Field(max_length=2_000)] = ""


def handoff(call: ToolCall, agents: Sequence[AgentCard]) -> Handoff | None:
    """The outcome that a call of the handover tool asks for; None if it names nobody who is there."""
    try:
        asked = _Handover.model_validate(call.arguments)
    except ValidationError:
        return None
    if asked.agent not in {agent.name for agent in agents}:
        return None
    return Handoff(to=asked.agent, note=asked.note)
