"""What a run of the demonstration left behind, as the records have it."""

import os
from collections.abc import Sequence
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, JsonValue

from holdfast import ConversationView, HoldfastClient, Settings
from holdfast_shop.demo.expectations import expect
from holdfast_shop.demo.narrator import Narrator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Conversation(_Frozen):
    """A conversation, with the length of its Temporal history, and its page in the Temporal UI."""

    conversation: str
    status: str
    turns: int
    history_events: int
    ui: str | None


class ActionTaken(_Frozen):
    """An action that an agent proposed, and how often it was executed."""

    conversation: str
    name: str
    arguments: dict[str, JsonValue]
    verdict: str
    state: str
    executions: int


class ModelCalls(_Frozen):
    """Model calls of the run.

    `answered` is what the workers logged, `recorded` the rows of the ledger. A call that
    is made again after it was recorded leaves no second row: `repeated` is the difference.
    """

    answered: int
    recorded: int
    repeated: int


class Kill(_Frozen):
    """The worker that died in the middle of a turn, and what was there at that moment.

    Of the turn's model calls it had got `calls_answered`, of which `calls_recorded` were in the ledger,
    and committed `replies`. The worker that took over made `calls_after`. `seconds` is how long the
    customer waited.
    """

    conversation: str
    turn: int
    signal: str
    calls_answered: int
    calls_recorded: int
    replies: int
    calls_after: int
    seconds: float


class AuditLog(_Frozen):
    """The tenant's audit log, worked out again from its first entry; `head` is that of its last."""

    entries: int
    head: str


class Summary(_Frozen):
    """A run of the demonstration. `seconds` is the time from the first worker's start to the end."""

    tenant: str
    seconds: float
    conversations: tuple[Conversation, ...]
    actions: tuple[ActionTaken, ...]
    model_calls: ModelCalls
    kill: Kill
    audit: AuditLog


async def summarise(
    client: HoldfastClient,
    settings: Settings,
    conversations: Sequence[str],
    *,
    answered_calls: int,
    kill: Kill,
    seconds: float,
) -> Summary:
    """Read it all from the records.

    Raises:
        Unexpected: an action was not executed once, a model call was repeated, or the audit log is
            not whole.
    """
    views = [await client.show(conversation) for conversation in conversations]
    recorded = sum(view.model_calls for view in views)
    audit = await client.audit.verify()
    expect(audit.entries > 0 and not audit.problem_count, "the audit log is whole", audit)
    summary = Summary(
        tenant=client.tenant,
        seconds=round(seconds, 1),
        conversations=tuple(_conversation(client.tenant, settings, view) for view in views),
        actions=tuple(
            ActionTaken.model_validate(
                {"conversation": view.conversation, **action.model_dump(include=_ACTION_FIELDS)}
            )
            for view in views
            for action in view.actions
        ),
        model_calls=ModelCalls(
            answered=answered_calls, recorded=recorded, repeated=answered_calls - recorded
        ),
        kill=kill,
        audit=AuditLog(entries=audit.entries, head=audit.head),
    )
    for action in summary.actions:
        times = 1 if action.state == "executed" else 0
        expect(
            action.executions == times,
            f"{action.name}, which is {action.state}, was executed {times} times",
            action.executions,
        )
    expect(recorded > 0, "model calls are recorded", recorded)
    calls = summary.model_calls
    expect(calls.repeated == 0, "every model call was made once", calls)
    return summary


_ACTION_FIELDS = set(ActionTaken.model_fields) - {"conversation"}


def _conversation(tenant: str, settings: Settings, view: ConversationView) -> Conversation:
    ui = os.environ.get("HOLDFAST_TEMPORAL_UI_URL")
    page = None
    if ui and view.history:
        workflow = quote(f"{tenant}/{view.conversation}", safe="")
        page = (
            f"{ui}/namespaces/{settings.temporal_namespace}/workflows/{workflow}"
            f"/{view.history.run}/history"
        )
    return Conversation(
        conversation=view.conversation,
        status=view.status,
        turns=view.turns,
        history_events=view.history.events if view.history else 0,
        ui=page,
    )


def tell(summary: Summary, narrator: Narrator) -> None:
    """Show the summary in the terminal."""
    narrator.heading(f"What is left of it, after {summary.seconds:.0f} s")
    narrator.table(
        ("conversation", "status", "turns", "events in Temporal's history"),
        [
            (one.conversation, one.status, str(one.turns), str(one.history_events))
            for one in summary.conversations
        ],
    )
    narrator.heading("Actions")
    narrator.table(
        ("conversation", "action", "policy", "state", "executed"),
        [
            (one.conversation, one.name, one.verdict, one.state, f"{one.executions} ×")
            for one in summary.actions
        ],
    )
    calls, kill = summary.model_calls, summary.kill
    narrator.heading("Model calls")
    narrator.notes(
        f"{calls.answered} answered (the workers' logs), {calls.recorded} in the ledger: "
        f"{calls.repeated} repeated"
    )
    narrator.notes(
        f"in flight at the kill: turn {kill.turn} of {kill.conversation}, without a reply yet; of "
        f"its model calls {kill.calls_answered} answered and {kill.calls_recorded} recorded, and "
        f"{kill.calls_after} made later by the worker that took over"
    )
    narrator.heading("Audit log")
    narrator.notes(
        f"{summary.audit.entries} entries, each with the hash of the one before; all worked out again, "
        f"none changed or missing; the head is {summary.audit.head[:16]}…"
    )
    if any(one.ui for one in summary.conversations):
        narrator.heading("In the Temporal UI, while the servers run (`make up` keeps them running)")
        for one in summary.conversations:
            narrator.link(one.conversation, one.ui or "")
