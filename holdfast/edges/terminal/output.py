"""Shows what the client returns to a person. Nothing that a customer wrote can steer the terminal."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from holdfast.client.views import ConversationView, ListedConversation, SentMessage
from holdfast.domain.approval import ApprovalStatus
from holdfast.domain.events import Event
from holdfast.domain.outcomes import Citation
from holdfast.domain.records import (
    ApprovalRecord,
    ConversationRecord,
    DeliveryRecord,
    MessageRecord,
)
from holdfast.domain.text import BLOCK_CHARACTERS, block, line
from holdfast.edges.terminal.inbox import requirement_in_words, show_approval
from holdfast.edges.terminal.lines import print_line, show_block, show_line

_WHO = {"customer": "green", "assistant": "cyan", "human": "magenta", "note": "yellow"}

Shown = BaseModel | Mapping[str, object]
"""A result of the client, or a document of several."""


def render(console: Console, shown: Shown) -> None:
    """Print a result; what has no form of its own is printed field by field."""
    match shown:
        case SentMessage():
            _sent(console, shown)
        case ConversationView():
            _conversation(console, shown)
        case MessageRecord():
            show_message(console, shown)
        case Event():
            show_event(console, shown)
        case ApprovalRecord():
            show_approval(console, shown)
        case {"approvals": [*found]}:
            _approvals(console, [one for one in found if isinstance(one, ApprovalRecord)])
        case {"conversations": [*found]}:
            _list(console, [one for one in found if isinstance(one, ListedConversation)])
        case {"deliveries": [*found]}:
            _deliveries(console, [one for one in found if isinstance(one, DeliveryRecord)])
        case {"events": [*found]}:
            for event in found:
                assert isinstance(event, Event)
                show_event(console, event)
        case ConversationRecord():
            held = f", held by {shown.held_by}" if shown.held_by else ""
            forked = f", forked from {shown.forked_from}" if shown.forked_from else ""
            show_line(console, f"{shown.id}: {shown.status}, {shown.turns} turns{held}{forked}")
        case ApprovalStatus():
            missing = " and ".join(requirement_in_words(one) for one in shown.waits_for)
            waits = f", waits for {missing}" if missing else ""
            show_line(console, f"{shown.approval}: {shown.state}{waits}")
        case BaseModel():
            _fields(console, shown.model_dump(mode="json"))
        case _:
            _fields(console, shown)


def show_message(console: Console, message: MessageRecord) -> None:
    """Print a message with its number and who said it."""
    who = message.role if message.author is None else f"{message.role} {message.author}"
    first, *more = block(message.text, indent=5).split("\n")
    shown = Text(f"{message.seq:>4} ", style="dim")
    shown.append(f"{line(who)}: ", style=_WHO.get(message.role, "white"))
    shown.append(first, style="default not dim")
    print_line(console, shown)
    for one in more:
        print_line(console, Text(one))


def show_event(console: Console, event: Event) -> None:
    """Print an event on one line."""
    turn = f" turn {event.turn}" if event.turn is not None else ""
    shown = Text(f"{event.seq:>4} {event.at:%Y-%m-%d %H:%M:%S} ", style="dim")
    shown.append(f"{event.type}{turn} ", style="bold not dim")
    data = event.data.model_dump(mode="json")
    shown.append(_json(data) if data else "", style="not dim")
    print_line(console, shown)


def show_citations(console: Console, citations: Sequence[Citation]) -> None:
    """Print where an answer comes from."""
    for citation in citations:
        show_line(console, f"[{citation.id}] {citation.title}", style="dim", label="  ")


def _sent(console: Console, sent: SentMessage) -> None:
    if sent.reply is not None:
        show_block(console, sent.reply)
        show_citations(console, sent.citations)
    about = [f"turn {sent.turn}"] if sent.turn is not None else []
    about += [sent.status.replace("_", " "), *sent.approvals]
    about += [f"{one.name} {one.state.replace('_', ' ')}" for one in sent.actions]
    about.append(f"message {sent.message_id}")
    if sent.degraded:
        about.append("degraded: the offline model answered")
    show_line(console, " · ".join(about), style="dim")


def _conversation(console: Console, view: ConversationView) -> None:
    about = [f"{view.status.replace('_', ' ')}", f"{view.turns} turns", f"customer {view.customer}"]
    if view.agent:
        about.append(f"agent {view.agent}")
    if view.held_by:
        about.append(f"held by {view.held_by}")
    if view.forked_from:
        about.append(f"forked from {view.forked_from}")
    about.append(f"{view.model_calls} model calls")
    if view.history:
        about.append(f"history {view.history.events} events, {view.history.bytes} bytes")
    show_line(console, f"{view.conversation}: {' · '.join(about)}", style="bold")
    for message in view.messages:
        show_message(console, message)
    for action in view.actions:
        result = f"{action.state}, {action.executions} executions"
        told = f"{action.id} {action.name} {_json(action.arguments)}: {result}"
        show_line(console, told, label="  ")
    if view.pending_approvals:
        _approvals(console, view.pending_approvals)


def _approvals(console: Console, approvals: Sequence[ApprovalRecord]) -> None:
    if not approvals:
        show_line(console, "no approvals", style="dim")
    for approval in approvals:
        show_approval(console, approval)


def _deliveries(console: Console, deliveries: Sequence[DeliveryRecord]) -> None:
    if not deliveries:
        show_line(console, "no deliveries", style="dim")
    for one in deliveries:
        times = "attempt" if one.attempts == 1 else "attempts"
        to = f"{one.channel}{f' ({one.recipient})' if one.recipient else ''}"
        what = f"{one.payload.type} of {one.approval} to {one.kind} {to}"
        show_line(console, f"{one.id}: {one.state}, {what}, {one.attempts} {times}")
        if one.last_error:
            show_line(console, one.last_error, style="dim", label="  ")


def _list(console: Console, conversations: Sequence[ListedConversation]) -> None:
    rows = [("conversation", "status", "agent", "priority", "started")]
    for one in conversations:
        ended = " (workflow ended)" if not one.running and one.status != "closed" else ""
        status = f"{one.status or ''}{ended}"
        started = f"{one.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        rows.append((one.conversation, status, one.agent or "", one.priority or "", started))
    table = [[line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, row in enumerate(table):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line(console, Text("  ".join(cells).rstrip(), style="" if number else "bold"))


def _fields(console: Console, fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        show_line(console, f"{name}: {value if isinstance(value, str | int) else _json(value)}")


def _json(value: object) -> str:
    return line(json.dumps(value, ensure_ascii=False, default=str), BLOCK_CHARACTERS)
