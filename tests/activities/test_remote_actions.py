"""Actions on another system: the same key on every try, one execution on record."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.runtime.settings import Settings
from holdfast.testing import eventually, routed_to
from tests.platform import Platform, counting, open_platform


class OtherSystem(uvicorn.Server):
    """A payment service, say: answers with these statuses in turn, the last one forever."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self.keys: list[str] = []
        """The idempotency key of every request, in order."""
        self._statuses = list(statuses)
        app = Starlette(routes=[Route("/payments", self._answer, methods=["POST"])])
        super().__init__(
            uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
        )

    @property
    def url(self) -> str:
        port = self.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/payments"

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Signals stay with the test."""
        return nullcontext()

    async def _answer(self, request: Request) -> Response:
        self.keys.append(request.headers["Idempotency-Key"])
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return JSONResponse({"receipt": f"for {self.keys[-1]}"}, status_code=status)


@asynccontextmanager
async def other_system(*statuses: int) -> AsyncIterator[OtherSystem]:
    """The other system, on a port of its own."""

    async def started() -> bool:
        return server.started

    server = OtherSystem(statuses)
    serving = asyncio.create_task(server.serve())
    await eventually(started)
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


async def send(platform: Platform, url: str) -> Any:
    """A turn in which the agent calls the other system; what was recorded of the action."""
    platform.script = routed_to("counter", counting([("send", {"url": url})], then="Sent."))
    assert (await platform.send("c1", "send it")).reply == "Sent."
    return await recorded(platform)


async def recorded(platform: Platform) -> Any:
    (action,) = (await platform.client.show("c1")).actions
    return action


def told(platform: Platform) -> str:
    """What the agent was told of its proposal."""
    (message,) = (m for m in platform.model.requests[-1]["messages"] if m["role"] == "tool")
    return str(message["content"])


async def test_a_call_that_fails_is_made_again_with_the_same_key(platform: Platform) -> None:
    async with other_system(500, 500, 200) as system:
        action = await send(platform, system.url)
    assert (action.state, action.executions) == ("executed", 1)
    assert len(system.keys) == 3
    assert len(set(system.keys)) == 1
    assert f"for {system.keys[0]}" in told(platform)
    await platform.replay("c1")


async def test_two_actions_have_two_keys(platform: Platform) -> None:
    async with other_system(200) as system:
        calls = [("send", {"url": system.url})] * 2
        platform.script = routed_to("counter", counting(calls, then="Sent."))
        await platform.send("c1", "send it twice")
        await platform.send("c2", "send it twice")
    assert len(system.keys) == len(set(system.keys)) == 4


async def test_a_refusal_of_the_other_system_is_told_to_the_agent_and_not_repeated(
    platform: Platform,
) -> None:
    async with other_system(409) as system:
        action = await send(platform, system.url)
    assert (action.state, action.executions) == ("refused", 0)
    assert len(system.keys) == 1
    assert "the other system refused" in told(platform)


async def test_when_a_later_action_fails_the_earlier_ones_are_undone_where_they_can_be(
    platform: Platform,
) -> None:
    async with other_system(409) as system:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("add", {"counter": "c", "amount": 1}),
            ("add_for_good", {"counter": "c", "amount": 2}),
            ("send", {"url": system.url}),
            ("add", {"counter": "c", "amount": 4}),
        ]
        platform.script = routed_to("counter", counting(calls, then="Half."))
        sent = await platform.send("c1", "do all of it")
    assert sent.status == "awaiting_human"
    assert [(one.name, one.state) for one in sent.actions] == [
        ("add", "compensated"),
        ("add_for_good", "executed"),
        ("send", "refused"),
        ("add", "not_attempted"),
    ]
    assert sent.reply is not None
    assert sent.reply.startswith(
        "Half.\n\nDone:\n- Add to a counter, without a way back\n\nNot done:\n"
    )
    (called,) = [
        event.data async for event in platform.client.events("c1") if event.type == "awaiting_human"
    ]
    assert called.model_dump()["reason"] == "a part of it was not done"
    view = await platform.client.show("c1")
    states = [action.state for action in view.actions]
    assert states == ["compensated", "executed", "refused", "not_attempted"]
    assert await platform.effects() == [2]
    await platform.replay("c1")


async def test_a_system_that_always_fails_is_asked_three_times_and_the_agent_is_told(
    platform: Platform,
) -> None:
    """A person is called: nobody but the other system knows whether it was done."""
    async with other_system(503) as system:
        platform.script = routed_to(
            "counter", counting([("send", {"url": system.url})], then="Hm.")
        )
        sent = await platform.send("c1", "send it")
        action = await recorded(platform)
    assert sent.status == "awaiting_human"
    assert str(sent.reply).startswith(
        "Hm.\n\nIt is not certain yet whether this was done:\n- Call a URL"
    )
    assert "Please do not send it again" in str(sent.reply)
    assert "its outcome is unknown" in told(platform)
    assert (action.state, action.executions) == ("failed", 0)
    assert len(system.keys) == 3
    assert len(set(system.keys)) == 1
    assert "503" in told(platform)


async def test_a_system_that_cannot_be_reached_was_asked_nothing_and_the_agent_goes_on(
    platform: Platform,
) -> None:
    async with other_system(200) as system:
        url = system.url
    action = await send(platform, url)
    assert (action.state, action.executions) == ("not_attempted", 0)
    assert "nothing was done" in told(platform)
    await platform.replay("c1")


@pytest.fixture
async def remote(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A platform without a worker: the test starts its own, to kill it."""
    async with open_platform(stack_settings, tenant, in_process=False) as opened:
        yield opened


async def test_a_worker_killed_between_call_and_record_calls_again_with_the_same_key(
    remote: Platform, tmp_path: Path
) -> None:
    async with other_system(200) as system:
        doomed = await remote.start_worker(
            HOLDFAST_FAULT=f"before_action_commit:{tmp_path / 'died'}"
        )
        sent = asyncio.create_task(send(remote, system.url))
        assert await doomed.died() == -signal.SIGKILL
        assert len(system.keys) == 1
        (unrecorded,) = await remote.database.fetch(
            "select state, idempotency_key from holdfast.executions where tenant = $1",
            remote.tenant,
        )
        assert tuple(unrecorded) == ("sending", system.keys[0])
        await remote.start_worker()
        action = await sent
    assert (action.state, action.executions) == ("executed", 1)
    assert len(system.keys) == 2
    assert len(set(system.keys)) == 1
    await remote.replay("c1")
