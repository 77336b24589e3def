"""Whatever handlers are sent, the conversation goes on, and what is refused is refused by type."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from holdfast.domain import wire
from holdfast.domain.errors import ERRORS_BY_CODE, InvalidRequest, Refused
from holdfast.domain.events import ConversationClosed
from holdfast.domain.limits import Limits
from holdfast.domain.notifications import NotificationStart
from holdfast.domain.review import Accept, Reviewer
from holdfast.testing import eventually, routed_to, text
from tests.platform import Platform, counting

UPDATES = (
    wire.SEND_MESSAGE,
    wire.DECIDE,
    wire.TAKE_OVER,
    wire.REPLY_AS_HUMAN,
    wire.HAND_BACK,
    wire.CANCEL_TURN,
)
SIGNALS = (wire.APPROVAL_DECISION, wire.UPGRADE)
"""`close` is apart: what it takes for a reason ends the conversation."""

NEARLY: dict[str, dict[str, Any]] = {
    wire.SEND_MESSAGE: {"message_id": "m1", "customer": "x", "text": "hi", "on_busy": "queue"},
    wire.DECIDE: {
        "id": "d1",
        "approval": "ap_1",
        "kind": "edit",
        "reviewer": "ann",
        "team": "north",
        "roles": ["boss"],
        "digest": "0" * 64,
        "text": "",
        "actions": [{"name": "add", "arguments": {"amount": 1}}],
        "to": "bob",
        "statement": "a.b.c",
    },
    wire.TAKE_OVER: {"reviewer": "pat", "id": "t1", "statement": "a.b.c"},
    wire.REPLY_AS_HUMAN: {"id": "r1", "reviewer": "pat", "text": "hi", "statement": ""},
    wire.HAND_BACK: {"reviewer": "pat", "note": "", "id": "h1", "statement": ""},
    wire.CANCEL_TURN: {"turn": 1, "reason": "no"},
}
NEARLY[wire.APPROVAL_DECISION] = NEARLY[wire.DECIDE]

START: dict[str, Any] = {"conversation": "c1", "customer": "customer-1"}

NOT_JSON = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{"))

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | words
    | st.sampled_from(["\0", "\x1b[2J", "\u202e", "x" * 70_000, "ap_1", "../..", "💥"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)


@st.composite
def nearly(draw: st.DrawFn, handler: str) -> Any:
    """What the handler takes, with some of its fields replaced, missing, or too many."""
    value = dict(NEARLY.get(handler, {}))
    for name in draw(st.lists(st.sampled_from([*value, "more"]), max_size=3)):
        if draw(st.booleans()):
            value[name] = draw(junk)
        else:
            value.pop(name, None)
    return value


def requests(handlers: tuple[str, ...]) -> st.SearchStrategy[tuple[str, list[Any]]]:
    """A handler, and what it is sent: nothing, something, too much."""
    return st.sampled_from(handlers).flatmap(
        lambda handler: st.tuples(
            st.just(handler),
            st.lists(junk | nearly(handler) | st.binary() | st.just(NOT_JSON), max_size=3),
        )
    )


quietly = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


async def refused(
    handle: WorkflowHandle[Any, Any], handler: str, arguments: list[Any]
) -> BaseException | None:
    """Why an update was refused; None where it was not."""
    try:
        await handle.execute_update(handler, args=arguments)
    except WorkflowUpdateFailedError as failed:
        return failed.cause
    return None


async def failed_tasks(platform: Platform, conversation: str) -> int:
    """How many workflow tasks of the conversation have failed."""
    history = await platform.handle(conversation).fetch_history()
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    return sum(event.event_type == failed for event in history.events)


async def goes_on(platform: Platform, conversation: str, said: str) -> None:
    """Check that a message is answered still, that nothing has failed, and that it all replays."""
    platform.script = routed_to("counter", lambda _: text(f"Still here: {said}."))
    answered = await platform.send(conversation, said, timeout=20)
    assert answered.reply == f"Still here: {said}."
    assert await failed_tasks(platform, conversation) == 0
    await platform.replay(conversation)


async def park(platform: Platform, conversation: str) -> str:
    adding = [("add", {"counter": "c", "amount": 150})]
    platform.script = routed_to("counter", counting(adding, then="Done."))
    parked = await platform.send(conversation, "add")
    return parked.approvals[0]


async def test_no_update_stops_a_conversation_and_each_is_refused_by_type(
    platform: Platform,
) -> None:
    await park(platform, "c1")
    handle = platform.handle("c1")
    drawn: list[tuple[str, list[Any]]] = []
    _draw(requests(UPDATES), drawn.append)
    for handler, arguments in [(handler, []) for handler in UPDATES] + drawn:
        refusal = await refused(handle, handler, arguments)
        if refusal is not None:
            assert isinstance(refusal, ApplicationError), handler
            kind = ERRORS_BY_CODE.get(refusal.type or "", Exception)
            assert issubclass(kind, Refused), f"{handler}: {refusal!r}"
    await goes_on(platform, "c1", "after updates")


async def test_no_signal_stops_a_conversation(platform: Platform) -> None:
    approval = await park(platform, "c1")
    handle = platform.handle("c1")
    drawn: list[tuple[str, list[Any]]] = []
    _draw(requests(SIGNALS), drawn.append)
    for signal, arguments in [(signal, []) for signal in SIGNALS] + drawn:
        await handle.signal(signal, args=arguments)
    await goes_on(platform, "c1", "after signals")
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )

    async def executed() -> bool:
        return await platform.effects() == [150]

    await eventually(executed, what="the approved action")


@pytest.mark.parametrize("arguments", [[], [None], [5], [{}], [["a"]], ["a", "b"]])
async def test_a_close_without_a_reason_in_words_closes_nothing(
    platform: Platform, arguments: list[Any]
) -> None:
    await platform.send("c1", "hello")
    await platform.handle("c1").signal(wire.CLOSE, args=arguments)
    await goes_on(platform, "c1", "after closing")


async def test_a_reason_for_closing_may_be_anything_in_words(platform: Platform) -> None:
    await platform.send("c1", "hello")
    await platform.handle("c1").signal(wire.CLOSE, "done\0\n\x1b[2J" + "x" * 100_000)

    async def closed() -> bool:
        return (await platform.client.show("c1")).status == "closed"

    await eventually(closed, what="the end")
    (reason,) = [
        one.data.reason
        async for one in platform.client.events("c1")
        if isinstance(one.data, ConversationClosed)
    ]
    assert reason.startswith("done [2J")
    assert len(reason) <= 2_000


async def test_a_decision_that_comes_before_the_records_are_there_waits_for_them(
    platform: Platform,
) -> None:
    await park(platform, "c1")
    record = (await platform.client.approvals.list())[0]
    await platform.handle("c1").terminate("an operator's mistake")
    decision = {**NEARLY[wire.DECIDE], "approval": record.id}
    await platform.send("c1", "hello again")
    await platform.handle("c1").signal(wire.APPROVAL_DECISION, decision)
    await goes_on(platform, "c1", "later")


@pytest.mark.parametrize(
    "start",
    [
        [],
        [None],
        [{}],
        [{"tenant": "../..", "conversation": 5, "customer": None}],
        ["a", "b"],
        [NOT_JSON],
    ],
)
@pytest.mark.parametrize(
    "workflow", [wire.CONVERSATION_WORKFLOW, wire.NOTIFICATION_WORKFLOW, wire.OPERATION_WORKFLOW]
)
async def test_a_workflow_that_is_started_with_junk_fails_by_type(
    platform: Platform, workflow: str, start: list[Any]
) -> None:
    queues = {
        wire.CONVERSATION_WORKFLOW: wire.workflows_queue(platform.settings.task_queue),
        wire.NOTIFICATION_WORKFLOW: wire.notifications_queue(platform.settings.task_queue),
        wire.OPERATION_WORKFLOW: wire.workflows_queue(platform.settings.task_queue),
    }
    signal = wire.UPGRADE if workflow == wire.CONVERSATION_WORKFLOW else wire.SEND_ALSO
    with pytest.raises(WorkflowFailureError) as failed:
        await platform.temporal.execute_workflow(
            workflow,
            args=start,
            id=platform.handle(f"junk-{workflow}").id,
            task_queue=queues[workflow],
            start_signal=signal,
            execution_timeout=timedelta(seconds=20),
        )
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == InvalidRequest.code


@pytest.mark.parametrize("update", UPDATES)
async def test_an_update_of_a_conversation_whose_start_cannot_be_read_is_refused_for_that(
    platform: Platform, update: str
) -> None:
    """A number that is infinite travels as null, say."""
    limits = Limits().model_dump() | {"heartbeat_seconds": None}
    start = {**START, "tenant": platform.tenant, "limits": limits}
    starting: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        wire.CONVERSATION_WORKFLOW,
        start,
        id=platform.handle("c1").id,
        task_queue=wire.workflows_queue(platform.settings.task_queue),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await platform.temporal.execute_update_with_start_workflow(
            update, NEARLY[update], start_workflow_operation=starting
        )
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == InvalidRequest.code
    assert "heartbeat_seconds" in str(refused.value.cause)


async def test_a_conversation_that_began_with_limits_beyond_the_bounds_goes_on(
    platform: Platform,
) -> None:
    """An earlier version took any, and a conversation keeps those that it began with."""
    huge = dict.fromkeys(Limits.model_fields, 10**12)
    start = {**START, "tenant": platform.tenant, "limits": huge}
    start["task_queue"] = platform.settings.task_queue
    await platform.temporal.start_workflow(
        wire.CONVERSATION_WORKFLOW,
        start,
        id=platform.handle("c1").id,
        task_queue=wire.workflows_queue(platform.settings.task_queue),
    )
    await goes_on(platform, "c1", "hello")
    approval = await park(platform, "c1")
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )

    async def executed() -> bool:
        return await platform.effects() == [150]

    await eventually(executed, what="the approved action")


@pytest.mark.parametrize("arguments", [[], [None], [5], [["a", 5]], [["dl_1"], "b"], [NOT_JSON]])
async def test_junk_for_a_notification_workflow_is_passed_over(
    platform: Platform, arguments: list[Any]
) -> None:
    await platform.temporal.execute_workflow(
        wire.NOTIFICATION_WORKFLOW,
        NotificationStart(
            tenant=platform.tenant,
            conversation="c1",
            task_queue=platform.settings.task_queue,
            deliveries=("dl_that_is_gone",),
        ),
        id=platform.handle("notified").id,
        task_queue=wire.notifications_queue(platform.settings.task_queue),
        start_signal=wire.SEND_ALSO,
        start_signal_args=arguments,
        execution_timeout=timedelta(seconds=20),
    )


def _draw(
    strategy: st.SearchStrategy[tuple[str, list[Any]]],
    take: Callable[[tuple[str, list[Any]]], None],
) -> None:
    """Draw examples first: one conversation gets them all, which is where one that breaks it shows."""

    @quietly
    @given(strategy)
    def draw(example: tuple[str, list[Any]]) -> None:
        take(example)

    draw()
