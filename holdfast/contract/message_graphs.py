"""Graphs that know messages alone: what they are fed, and what becomes of their last words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    convert_to_messages,
)
from pydantic import ValidationError

from holdfast.contract.dialogue import dialogue, handover_note
from holdfast.contract.subgraph import TranscriptMessage, TurnContext, TurnOutcome
from holdfast.domain.outcomes import Citation, Escalation, Reply

QUOTE_CHARACTERS = 300


def messages_of(context: TurnContext, transcript: Sequence[TranscriptMessage]) -> dict[str, Any]:
    """The graph's input: the transcript as LangChain's messages, after what was done for the customer
    before and why another agent handed the turn over."""
    said = list(dialogue(transcript, context=context))
    if note := handover_note(context.note):
        said.insert(0, {"role": "system", "content": note})
    return {"messages": convert_to_messages([dict(message) for message in said])}


def reply_of(messages: Sequence[BaseMessage], citations: Iterable[Citation]) -> TurnOutcome | None:
    """The last message, the model's or that of a tool whose answer is returned directly, as the reply; None
    where it is another's. A person is called where there is nothing to read in it."""
    if not messages or not isinstance(messages[-1], AIMessage | ToolMessage):
        return None
    text = str(messages[-1].text).strip()
    try:
        Reply(text=text)
    except ValidationError:
        return Escalation(reason="The model gave an empty answer.")
    return Reply(text=text, citations=tuple(citations))


def artifact_citations(messages: Sequence[BaseMessage]) -> tuple[Citation, ...]:
    """The sources that tools have found in this turn: documents in the artifacts of their messages, and
    mappings there that have an `id` or `source`, a `title`, and a `quote`. Each is named once."""
    found: dict[str, Citation] = {}
    for message in messages[_latest_question(messages) :]:
        if isinstance(message, ToolMessage):
            for citation in _citations(message.artifact):
                found.setdefault(citation.id, citation)
    return tuple(found.values())


def _latest_question(messages: Sequence[BaseMessage]) -> int:
    asked = [place for place, one in enumerate(messages) if isinstance(one, HumanMessage)]
    return asked[-1] if asked else 0


def _citations(artifact: Any) -> Iterator[Citation]:
    if isinstance(artifact, list | tuple):
        for one in artifact:
            yield from _citations(one)
    elif isinstance(artifact, Document):
        id_ = artifact.id or artifact.metadata.get("source")
        data = {"title": id_, **artifact.metadata, "id": id_, "quote": artifact.page_content}
        yield from _citations(data)
    elif isinstance(artifact, Mapping):
        id_ = artifact.get("id") or artifact.get("source")
        if id_ and artifact.get("title"):
            yield Citation(
                id=str(id_),
                title=str(artifact["title"]),
                quote=str(artifact.get("quote") or "")[:QUOTE_CHARACTERS],
            )
