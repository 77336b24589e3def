"""What an attempt says in its heartbeats, and what follows from what the attempts before it have said."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from datetime import timedelta
from typing import Any

import pytest
from temporalio.common import MetricMeter
from temporalio.testing import ActivityEnvironment

from holdfast.activities.attempts import Attempt
from holdfast.activities.containment import contain_tasks
from holdfast.domain.errors import (
    AttemptsLost,
    ConfigurationError,
    ModelUnavailable,
    TookTooLong,
    Unavailable,
)
from holdfast.graphs.runner import Progress
from holdfast.runtime.settings import read_settings


class Counting(MetricMeter):
    """A meter that keeps what is counted."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, Any]] = []

    def create_counter(self, name: str, *_: Any, **__: Any) -> Any:
        meter = self

        class Counter:
            def add(self, value: int, attributes: Any = None) -> None:
                meter.counted.append((name, attributes))

        return Counter()

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("only counters are made here")

    create_histogram = create_histogram_float = create_histogram_timedelta = _unused
    create_gauge = create_gauge_float = create_up_down_counter = _unused
    create_up_down_counter_float = _unused

    def with_additional_attributes(self, *_: Any, **__: Any) -> "Counting":
        return self


@pytest.fixture
def environment() -> ActivityEnvironment:
    return environment_of()


def environment_of(
    *details: Any, attempt: int = 1, heartbeat: float = 0.3, seconds: float = 10
) -> ActivityEnvironment:
    """An activity in this attempt, after heartbeats with these details."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info,
        attempt=attempt,
        heartbeat_details=list(details),
        heartbeat_timeout=timedelta(seconds=heartbeat),
        start_to_close_timeout=timedelta(seconds=seconds),
    )
    return environment


async def test_heartbeats_come_while_the_loop_is_blocked_and_say_where(
    environment: ActivityEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    beats: list[tuple[Any, ...]] = []
    meter = Counting()
    environment.on_heartbeat = lambda *details: beats.append((time.monotonic(), *details))
    environment.metric_meter = meter

    async def block() -> Attempt:
        progress = Progress()
        attempt = Attempt(3, progress=progress)
        async with attempt.running():
            progress.begin("think")
            time.sleep(2)  # noqa: ASYNC251 what is tested
            await asyncio.sleep(0.3)
        return attempt

    began = time.monotonic()
    attempt = await environment.run(block)
    early = [beat for beat in beats if beat[0] - began < 2]
    assert len(early) > 10, "one each 0.1 s"
    assert early[-1][1] == "think"
    assert early[-1][2] > 1
    assert meter.counted == [("holdfast_blocked_loops", {"node": "activity unknown"})]
    (blockade,) = attempt.blockades
    assert blockade.where.startswith("test_pulse.py:")
    assert "blocks the worker's event loop" in caplog.text


async def _in_a_group(work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work)


@pytest.mark.parametrize(
    "start",
    [
        asyncio.gather,
        asyncio.create_task,
        lambda work: asyncio.wait_for(work, 60),
        lambda work: asyncio.wait([asyncio.ensure_future(work)]),
        lambda work: asyncio.create_task(work, context=Context()),
        _in_a_group,
        lambda work: asyncio.gather(_in_a_group(work)),
    ],
)
async def test_a_task_that_blocks_the_loop_does_so_for_the_attempt_that_started_it(
    environment: ActivityEnvironment, start: Callable[[Any], Awaitable[object]]
) -> None:
    contain_tasks(asyncio.get_running_loop())

    async def blocking() -> None:
        time.sleep(1.5)  # noqa: ASYNC251 what is tested
        await asyncio.sleep(0.1)

    async def block() -> Attempt:
        attempt = Attempt(3)
        async with attempt.running():
            await start(blocking())
        return attempt

    beside = environment_of()
    other = asyncio.create_task(beside.run(wait_beside))
    (blockade,) = (await environment.run(block)).blockades
    assert blockade.node == "activity unknown"
    assert blockade.where.endswith(" in blocking")
    assert not (await other).blockades


async def wait_beside() -> Attempt:
    attempt = Attempt(3)
    async with attempt.running():
        await asyncio.sleep(2)
    return attempt


async def test_failures_are_counted_from_attempt_to_attempt_in_heartbeats() -> None:
    environment, said = environment_of(), []
    environment.on_heartbeat = lambda *details: said.append(details)

    async def fail(error: Exception) -> bool:
        attempt = Attempt(2)
        return attempt.repeats(error)

    assert await environment.run(fail, OSError("disk full"))
    assert said[-1] == ("", 0.0, 1, 1, "OSError")
    again = environment_of(*said[-1], attempt=12)
    again.on_heartbeat = environment.on_heartbeat
    assert await again.run(fail, Unavailable("lost Postgres"))
    assert await again.run(fail, ModelUnavailable("none"))
    assert said[-1] == ("", 0.0, 1, 12, "OSError")
    assert not await again.run(fail, ValueError("this one counts"))
    assert not await environment.run(fail, ConfigurationError("never right"))


@pytest.mark.parametrize(
    ("attempt", "details", "why"),
    [
        (17, ("", 0.0, 1, 1, "OSError"), "15 attempts ended without a word"),
        (4, ("", 0.0, 3, 3, "node x blocked the worker"), "node x blocked the worker"),
    ],
)
async def test_what_has_reached_its_bound_is_not_begun(
    attempt: int, details: tuple[Any, ...], why: str
) -> None:
    async def begin() -> None:
        async with Attempt(3).running():
            raise AssertionError("it was begun")

    with pytest.raises(AttemptsLost, match=why):
        await environment_of(*details, attempt=attempt).run(begin)


async def test_attempts_that_postgres_has_ended_are_not_lost() -> None:
    async def begin() -> None:
        async with Attempt(3).running():
            pass

    await environment_of("", 0.0, 1, 39, "OSError", attempt=40).run(begin)


@pytest.mark.parametrize(
    ("nodes", "error"), [(("think",), TookTooLong), ((), Unavailable)], ids=["a node", "Postgres"]
)
async def test_an_attempt_is_ended_before_its_time_is_up(
    nodes: tuple[str, ...], error: type[Exception]
) -> None:
    async def hang() -> None:
        progress = Progress()
        progress.begin(*nodes)
        async with Attempt(3, progress=progress).running():
            await asyncio.Event().wait()

    began = time.monotonic()
    with pytest.raises(error):
        await environment_of(seconds=1).run(hang)
    assert time.monotonic() - began < 1


def test_a_heartbeat_timeout_that_cannot_be_kept_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOLDFAST_LIMITS__HEARTBEAT_SECONDS", "0.4")
    assert read_settings().limits.heartbeat_seconds == 0.4
    monkeypatch.setenv("HOLDFAST_LIMITS__HEARTBEAT_SECONDS", "0.2")
    with pytest.raises(ConfigurationError, match=r"HOLDFAST_LIMITS: .*beats three times"):
        read_settings()
