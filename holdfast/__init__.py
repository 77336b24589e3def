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
    from holdfast.contract.action import Action as Action
    from holdfast.contract.action import ActionContext as ActionContext
    from holdfast.contract.action import ActionRefused as ActionRefused
    from holdfast.contract.chat import ChatModel as ChatModel
    from holdfast.contract.chat import Tool as Tool
    from holdfast.contract.chat import ToolCall as ToolCall
    from holdfast.contract.confirmation import take_again as take_again
    from holdfast.contract.confirmation import with_again as with_again
    from holdfast.contract.connection import Connection as Connection
    from holdfast.contract.dialogue import dialogue as dialogue
    from holdfast.contract.dialogue import handoff as handoff
    from holdfast.contract.dialogue import handover_note as handover_note
    from holdfast.contract.dialogue import handover_tool as handover_tool
    from holdfast.contract.exchange import Exchange as Exchange
    from holdfast.contract.hints import AnsweredCall as AnsweredCall
    from holdfast.contract.hints import HintContext as HintContext
    from holdfast.contract.hints import Hints as Hints
    from holdfast.contract.hints import Lookup as Lookup
    from holdfast.contract.hints import Say as Say
    from holdfast.contract.hints import ToolHint as ToolHint
    from holdfast.contract.hints import ToolUse as ToolUse
    from holdfast.contract.package import Package as Package
    from holdfast.contract.plan import Plan as Plan
    from holdfast.contract.read import Read as Read
    from holdfast.contract.read import ReadError as ReadError
    from holdfast.contract.running import current_turn as current_turn
    from holdfast.contract.subgraph import Reads as Reads
    from holdfast.contract.subgraph import Subgraph as Subgraph
    from holdfast.contract.subgraph import TranscriptMessage as TranscriptMessage
    from holdfast.contract.subgraph import TurnContext as TurnContext
    from holdfast.contract.subgraph import TurnState as TurnState
    from holdfast.contract.subgraph import propose as propose
    from holdfast.contract.tool_agent import Rationale as Rationale
    from holdfast.contract.tool_agent import tool_agent as tool_agent
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
    from holdfast.domain.records import ApprovalRecord as ApprovalRecord
    from holdfast.domain.review import Accept as Accept
    from holdfast.domain.review import Claim as Claim
    from holdfast.domain.review import Comment as Comment
    from holdfast.domain.review import Delegate as Delegate
    from holdfast.domain.review import Edit as Edit
    from holdfast.domain.review import Reject as Reject
    from holdfast.domain.review import Release as Release
    from holdfast.domain.review import Respond as Respond
    from holdfast.domain.review import Reviewer as Reviewer
    from holdfast.runtime.settings import Settings as Settings
    from holdfast.runtime.settings import read_settings as read_settings

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
    "holdfast.contract.chat": ("ChatModel", "Tool", "ToolCall"),
    "holdfast.contract.hints": (
        "AnsweredCall",
        "Hints",
        "HintContext",
        "Lookup",
        "Say",
        "ToolHint",
        "ToolUse",
    ),
    "holdfast.runtime.settings": ("Settings", "read_settings"),
    "holdfast.domain.records": ("ApprovalRecord",),
    "holdfast.contract.connection": ("Connection",),
    "holdfast.contract.action": ("Action", "ActionContext", "ActionRefused"),
    "holdfast.contract.running": ("current_turn",),
    "holdfast.contract.subgraph": (
        "Reads",
        "Subgraph",
        "TranscriptMessage",
        "TurnContext",
        "TurnState",
        "propose",
    ),
    "holdfast.contract.dialogue": (
        "dialogue",
        "handoff",
        "handover_note",
        "handover_tool",
    ),
    "holdfast.contract.exchange": ("Exchange",),
    "holdfast.contract.package": ("Package",),
    "holdfast.contract.plan": ("Plan",),
    "holdfast.contract.read": ("Read", "ReadError"),
    "holdfast.contract.confirmation": ("take_again", "with_again"),
    "holdfast.contract.tool_agent": ("Rationale", "tool_agent"),
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
