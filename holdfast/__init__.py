"""Durable agent conversations.

The public API, for services (`HoldfastClient`) and for agent builders (the rest). Names are loaded
when they are first used: workflows import `holdfast.domain` inside Temporal's sandbox, where asyncpg
and langgraph must not come along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient as HoldfastClient
    from holdfast.client.views import ConversationView as ConversationView
    from holdfast.client.views import SentMessage as SentMessage
    from holdfast.domain import events as events
    from holdfast.domain.description import ActionDescription as ActionDescription
    from holdfast.domain.description import Change as Change
    from holdfast.domain.description import Detail as Detail
    from holdfast.domain.errors import HoldfastError as HoldfastError
    from holdfast.domain.outcomes import ActionResult as ActionResult
    from holdfast.domain.outcomes import Citation as Citation
    from holdfast.domain.outcomes import Escalation as Escalation
    from holdfast.domain.outcomes import Handoff as Handoff
    from holdfast.domain.outcomes import ProposedAction as ProposedAction
    from holdfast.domain.outcomes import Reply as Reply
    from holdfast.domain.past import PastAction as PastAction
    from holdfast.domain.review import Accept as Accept
    from holdfast.domain.review import Claim as Claim
    from holdfast.domain.review import Comment as Comment
    from holdfast.domain.review import Delegate as Delegate
    from holdfast.domain.review import Edit as Edit
    from holdfast.domain.review import Reject as Reject
    from holdfast.domain.review import Release as Release
    from holdfast.domain.review import Respond as Respond
    from holdfast.domain.review import Reviewer as Reviewer
    from holdfast.llm.chat import ChatModel as ChatModel
    from holdfast.llm.chat import Tool as Tool
    from holdfast.llm.chat import ToolCall as ToolCall
    from holdfast.llm.hints import AnsweredCall as AnsweredCall
    from holdfast.llm.hints import Hints as Hints
    from holdfast.llm.hints import Known as Known
    from holdfast.llm.hints import Lookup as Lookup
    from holdfast.llm.hints import Say as Say
    from holdfast.llm.hints import ToolHint as ToolHint
    from holdfast.llm.hints import ToolUse as ToolUse
    from holdfast.runtime.settings import Settings as Settings
    from holdfast.runtime.settings import read_settings as read_settings
    from holdfast.store.approvals import ApprovalRecord as ApprovalRecord
    from holdfast.store.pool import Connection as Connection
    from holdfast.subgraphs.action import Action as Action
    from holdfast.subgraphs.action import ActionContext as ActionContext
    from holdfast.subgraphs.action import ActionRefused as ActionRefused
    from holdfast.subgraphs.contract import Reads as Reads
    from holdfast.subgraphs.contract import Subgraph as Subgraph
    from holdfast.subgraphs.contract import TranscriptMessage as TranscriptMessage
    from holdfast.subgraphs.contract import TurnContext as TurnContext
    from holdfast.subgraphs.contract import TurnState as TurnState
    from holdfast.subgraphs.contract import propose as propose
    from holdfast.subgraphs.dialogue import dialogue as dialogue
    from holdfast.subgraphs.dialogue import handoff as handoff
    from holdfast.subgraphs.dialogue import handover_note as handover_note
    from holdfast.subgraphs.dialogue import handover_tool as handover_tool
    from holdfast.subgraphs.exchange import Exchange as Exchange
    from holdfast.subgraphs.package import Package as Package
    from holdfast.subgraphs.plan import Plan as Plan
    from holdfast.subgraphs.read import Read as Read
    from holdfast.subgraphs.read import ReadError as ReadError
    from holdfast.subgraphs.repeating import take_again as take_again
    from holdfast.subgraphs.repeating import with_again as with_again
    from holdfast.subgraphs.tool_agent import Rationale as Rationale
    from holdfast.subgraphs.tool_agent import tool_agent as tool_agent

_HOMES = {
    "holdfast.client": ("HoldfastClient",),
    "holdfast.domain.description": ("ActionDescription", "Change", "Detail"),
    "holdfast.domain.errors": ("HoldfastError",),
    "holdfast.domain.outcomes": (
        "ActionResult",
        "Citation",
        "Escalation",
        "Handoff",
        "ProposedAction",
        "Reply",
    ),
    "holdfast.domain.past": ("PastAction",),
    "holdfast.domain.review": (
        "Accept",
        "Claim",
        "Comment",
        "Delegate",
        "Edit",
        "Reject",
        "Release",
        "Respond",
        "Reviewer",
    ),
    "holdfast.llm.chat": ("ChatModel", "Tool", "ToolCall"),
    "holdfast.llm.hints": (
        "AnsweredCall",
        "Hints",
        "Known",
        "Lookup",
        "Say",
        "ToolHint",
        "ToolUse",
    ),
    "holdfast.runtime.settings": ("Settings", "read_settings"),
    "holdfast.store.approvals": ("ApprovalRecord",),
    "holdfast.store.pool": ("Connection",),
    "holdfast.subgraphs.action": ("Action", "ActionContext", "ActionRefused"),
    "holdfast.subgraphs.contract": (
        "Reads",
        "Subgraph",
        "TranscriptMessage",
        "TurnContext",
        "TurnState",
        "propose",
    ),
    "holdfast.subgraphs.dialogue": (
        "dialogue",
        "handoff",
        "handover_note",
        "handover_tool",
    ),
    "holdfast.subgraphs.exchange": ("Exchange",),
    "holdfast.subgraphs.package": ("Package",),
    "holdfast.subgraphs.plan": ("Plan",),
    "holdfast.subgraphs.read": ("Read", "ReadError"),
    "holdfast.subgraphs.repeating": ("take_again", "with_again"),
    "holdfast.subgraphs.tool_agent": ("Rationale", "tool_agent"),
    "holdfast.client.views": ("ConversationView", "SentMessage"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "events"])


def __getattr__(name: str) -> Any:
    if name == "events":
        return import_module("holdfast.domain.events")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from holdfast.extras import extra

    with extra("worker", f"holdfast.{name}"):
        return getattr(import_module(_HOME_OF[name]), name)
