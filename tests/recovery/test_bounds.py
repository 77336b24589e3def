"""Nothing runs without end: what brought code does wrong counts, what servers do wrong doesn't."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from holdfast.domain.events import NodeBlockedWorker, TurnEnded
from holdfast.domain.limits import Limits
from holdfast.runtime.settings import Settings
from holdfast.testing import Hold, ModelReply, eventually, is_triage, route, text
from tests.platform import Platform, open_platform
from tests.stubborn import ENDED, ERRORS, RUNS

Open = Callable[..., AbstractAsyncContextManager[Platform]]


@pytest.fixture
def open_stubborn(stack_settings: Settings, tenant: str) -> Open:
    """Opens a platform with the stubborn package and these limits."""

    @asynccontextmanager
    async def opened(
        *, agent: str = "asynchronous", in_process: bool = True, **limits: Any
    ) -> AsyncIterator[Platform]:
        async with open_platform(
            stack_settings,
            tenant,
            in_process=in_process,
            packages=("tests.stubborn:package",),
            limits=Limits(**limits),
        ) as platform:
            platform.script = lambda request: route(agent) if is_triage(request) else text("Hi.")
            yield platform

    return opened


async def cause_of_turn(platform: Platform) -> str:
    """What operators read of why the first turn has failed."""
    cause: str = await platform.database.fetchval(
        "select error from holdfast.turns where tenant = $1 and turn = 1", platform.tenant
    )
    return cause


@pytest.mark.parametrize("error", ERRORS)
async def test_an_error_of_brought_code_counts_whatever_its_type(
    open_stubborn: Open, error: str
) -> None:
    async with open_stubborn() as platform:
        sent = await platform.send("c1", f"raise {error}")
        assert sent.status == "failed"
        assert RUNS[platform.tenant] == 3
        await platform.replay("c1")


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("asynchronous", "exit"),
        ("asynchronous", "exit in a task"),
        ("asynchronous", "be cancelled"),
        ("asynchronous", "raise at the base"),
        ("synchronous", "exit"),
    ],
)
async def test_code_that_wants_to_exit_fails_its_turn_and_nothing_else(
    open_stubborn: Open, agent: str, said: str
) -> None:
    async with open_stubborn(agent=agent) as platform:
        other = asyncio.create_task(platform.send("c2", "hello"))
        sent = await platform.send("c1", said)
        assert sent.status == "failed"
        assert (await other).reply == "Done."
        assert RUNS[platform.tenant] == 3 + 1
        await platform.replay("c1")


async def test_a_wrong_statement_on_our_connection_counts(open_stubborn: Open) -> None:
    async with open_stubborn() as platform:
        assert (await platform.send("c1", "select nothing")).status == "failed"
        assert RUNS[platform.tenant] == 3


@pytest.mark.parametrize("how", ["postgres", "cursor"])
async def test_losing_our_postgres_does_not_count(open_stubborn: Open, how: str) -> None:
    async with open_stubborn() as platform:
        assert (await platform.send("c1", f"lose {how} 4")).reply == "Done."
        assert RUNS[platform.tenant] == 5


async def test_a_node_that_hangs_is_ended_counted_and_followed_by_a_person(
    open_stubborn: Open,
) -> None:
    async with open_stubborn(step_seconds=2) as platform:
        sent = await platform.send("c1", "hang")
        assert sent.status == "awaiting_human"
        assert RUNS[platform.tenant] == ENDED[platform.tenant] == 3
        (ended,) = [
            one.data
            async for one in platform.client.events("c1")
            if isinstance(one.data, TurnEnded)
        ]
        assert ended.reason == "a step of the turn took too long"
        cause = await cause_of_turn(platform)
        assert cause.startswith("TookTooLong: ")
        assert "obey" in cause
        await platform.replay("c1")


async def test_a_model_that_hangs_is_called_a_bounded_number_of_times(open_stubborn: Open) -> None:
    hold = Hold()
    async with open_stubborn(step_seconds=2) as platform:
        platform.script = lambda _: route("asynchronous").held(hold)
        assert (await platform.send("c1", "hello")).status == "awaiting_human"
        assert 1 <= sum(platform.model.calls.values()) <= 3
        hold.release()


@pytest.mark.parametrize("said", ["hang", "lose postgres 1000000"])
async def test_a_turn_ends_with_its_time_whatever_holds_it_up(
    open_stubborn: Open, said: str
) -> None:
    async with open_stubborn(turn_seconds=3) as platform:
        assert (await platform.send("c1", said)).status == "awaiting_human"

        async def over() -> bool:
            return RUNS[platform.tenant] == ENDED[platform.tenant]

        await eventually(over, what="the end of the last attempt")
        await platform.replay("c1")


async def test_a_turn_that_an_action_held_up_too_long_goes_to_a_person(
    open_stubborn: Open,
) -> None:
    async with open_stubborn(action_seconds=1, turn_seconds=2) as platform:
        sent = await platform.send("c1", "propose hang_remotely")
        assert sent.status == "awaiting_human"
        assert RUNS[f"{platform.tenant} action"] == 3
        (action,) = (await platform.client.show("c1")).actions
        assert action.state == "failed"
        await platform.replay("c1")


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("hang", "failed: TookTooLong"),
        ("hang_remotely", "its outcome is unknown"),
        ("raise", "failed: OSError"),
        ("exit", "failed: SubgraphFailed: the code raised SystemExit"),
        ("exit_remotely", "failed: SubgraphFailed: the code raised SystemExit"),
        ("be_cancelled", "failed: SubgraphFailed: the code was cancelled by itself"),
        ("be_cancelled_remotely", "failed: SubgraphFailed: the code was cancelled by itself"),
    ],
)
async def test_an_action_that_does_not_end_well_is_tried_three_times_and_told_as_failed(
    open_stubborn: Open, action: str, told: str
) -> None:
    async with open_stubborn(action_seconds=1) as platform:
        sent = await platform.send("c1", f"propose {action}")
        assert told in str(sent.reply)
        assert RUNS[f"{platform.tenant} action"] == 3
        (recorded,) = (await platform.client.show("c1")).actions
        assert (recorded.state, recorded.executions) == ("failed", 0)
        await platform.replay("c1")


async def test_a_heartbeat_timeout_of_0_4_s_is_kept(open_stubborn: Open) -> None:
    async with open_stubborn(heartbeat_seconds=0.4) as platform:
        assert (await platform.send("c1", "wait 1.5")).reply == "Done."
        assert RUNS[platform.tenant] == 1


@pytest.mark.parametrize(
    ("said", "place"), [("block 5", "in _asynchronous"), ("block in a task 5", "in _sleep")]
)
async def test_a_node_that_blocks_its_worker_is_named_and_fails_nobody(
    open_stubborn: Open, caplog: pytest.LogCaptureFixture, said: str, place: str
) -> None:
    async with open_stubborn(heartbeat_seconds=1.0) as platform:
        blocking = asyncio.create_task(platform.send("c1", said))
        other = asyncio.create_task(platform.send("c2", "wait 0.1"))
        assert (await blocking).reply == (await other).reply == "Done."
        named = [one for one in caplog.messages if "node obey blocks the worker" in one]
        assert len(named) == 1
        assert place in named[0]
        (blocked,) = [
            one.data
            async for one in platform.client.events("c1")
            if isinstance(one.data, NodeBlockedWorker)
        ]
        assert blocked.node == "node obey"
        assert blocked.seconds > 3
        assert RUNS[platform.tenant] <= 4, "the two turns, and what their timeouts may add"


async def test_a_plain_function_gets_a_thread_and_blocks_nobody(
    open_stubborn: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_stubborn(agent="synchronous", heartbeat_seconds=1.0) as platform:
        slow = asyncio.create_task(platform.send("c1", "block 5"))
        quick = await platform.send("c2", "hello")
        assert quick.reply == "Done."
        assert not slow.done()
        assert (await slow).reply == "Done."
        assert RUNS[platform.tenant] == 2
        assert not [one for one in caplog.messages if "blocks the worker" in one]


@pytest.mark.parametrize("said", ["block 3600", "block in a task 3600"])
async def test_a_worker_that_stays_blocked_ends_and_the_node_is_not_tried_for_ever(
    open_stubborn: Open, said: str
) -> None:
    async with open_stubborn(in_process=False, attempts=2) as platform:
        first = await platform.start_worker(HOLDFAST_BLOCKED_SECONDS="2")
        sending = asyncio.create_task(platform.send("c1", said))
        assert await first.died() == 70
        second = await platform.start_worker(HOLDFAST_BLOCKED_SECONDS="2")
        assert await second.died() == 70
        assert any("obey has blocked the worker" in line for line in second.log)
        await platform.start_worker()
        assert (await sending).status == "awaiting_human"
        (ended,) = [
            one.data
            async for one in platform.client.events("c1")
            if isinstance(one.data, TurnEnded)
        ]
        assert ended.reason == "a step of the turn was lost too often"
        assert "blocked the worker" in await cause_of_turn(platform)
        await platform.replay("c1")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("a node", "block 4.5"),
        ("an action", "propose block_remotely"),
        ("an action", "propose block_in_a_task"),
    ],
)
async def test_an_attempt_that_blocks_its_worker_until_its_time_is_over_counts(
    open_stubborn: Open, code: str, said: str
) -> None:
    seconds = {"step_seconds": 4} if code == "a node" else {"action_seconds": 4}
    async with open_stubborn(attempts=2, turn_seconds=60, **seconds) as platform:
        sent = await platform.send("c1", said)
        tenant = platform.tenant
        if code == "a node":
            assert RUNS[tenant] == 2
            cause = await platform.database.fetchval(
                "select error from holdfast.turns where tenant = $1", tenant
            )
            assert "node obey blocked the worker" in cause
        else:
            assert RUNS[f"{tenant} action"] == 2
            (action,) = (await platform.client.show("c1")).actions
            assert action.state == "failed"
            # a task that ends leaves the attempt a moment in which it may be the first to tell
            told = ("execute_action blocked the worker", "TookTooLong")[
                : 2 if "task" in said else 1
            ]
            assert any(one in str(action.error) for one in told)
        assert sent.status != "answered" or code == "an action"
        await platform.replay("c1")


async def test_a_turn_whose_worker_is_killed_five_times_in_a_row_is_answered(
    open_stubborn: Open,
) -> None:
    async with open_stubborn(in_process=False) as platform:
        holds: list[Hold] = []

        def answer(request: dict[str, Any]) -> ModelReply:
            holds.append(Hold())
            reply = route("asynchronous")
            return reply if len(holds) > 5 else reply.held(holds[-1])

        platform.script = answer
        sending: asyncio.Task[Any] | None = None
        for number in range(1, 6):
            doomed = await platform.start_worker()
            sending = sending or asyncio.create_task(platform.send("c1", "wait 0"))
            async with asyncio.timeout(30):
                while len(holds) < number:  # noqa: ASYNC110 the model counts the calls
                    await asyncio.sleep(0.02)
            doomed.signal(signal.SIGKILL)
            await doomed.died()
        await platform.start_worker()
        assert sending is not None
        assert (await sending).reply == "Done."
        for hold in holds:
            hold.release()
        await platform.replay("c1")


async def test_a_message_that_kills_every_worker_goes_to_a_person(open_stubborn: Open) -> None:
    async with open_stubborn(in_process=False, lost_attempts=2) as platform:
        first = await platform.start_worker()
        sending = asyncio.create_task(platform.send("c1", "die"))
        assert await first.died() == 1
        assert await (await platform.start_worker()).died() == 1
        await platform.start_worker()
        sent = await sending
        assert sent.status == "awaiting_human"
        await platform.replay("c1")


async def test_a_node_that_keeps_the_interpreter_ends_its_worker_and_goes_to_a_person(
    open_stubborn: Open,
) -> None:
    async with open_stubborn(in_process=False, lost_attempts=1) as platform:
        doomed = await platform.start_worker(HOLDFAST_BLOCKED_SECONDS="2")
        sending = asyncio.create_task(platform.send("c1", "keep the interpreter"))
        assert await doomed.died() == 1
        assert any("in _asynchronous" in line for line in doomed.log)
        await platform.start_worker()
        assert (await sending).status == "awaiting_human"
