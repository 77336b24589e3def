"""The whole demonstration, as a process beside the shared servers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from holdfast import Settings

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.timeout(300)


async def test_the_story_ends_well_and_leaves_no_process(stack_settings: Settings) -> None:
    async with _demo(stack_settings, "--json") as (demo, mark):
        out, told = await demo.communicate()
        assert demo.returncode == 0, told.decode()
        assert _marked(mark) == []

    summary = json.loads(out)
    assert [(one["turns"], one["status"]) for one in summary["conversations"]] == [
        (1, "closed"),
        (1, "closed"),
        (1, "closed"),
        (3, "closed"),
        (1, "closed"),
        (1, "closed"),
    ]
    assert [
        (one["name"], one["verdict"], one["state"], one["executions"]) for one in summary["actions"]
    ] == [
        ("modify_pending_order_address", "allow", "executed", 1),
        ("cancel_pending_order", "approve", "executed", 1),
        ("return_delivered_order_items", "approve", "rejected", 0),
        ("cancel_pending_order", "approve", "executed", 1),
    ]
    calls, kill = summary["model_calls"], summary["kill"]
    assert calls["answered"] == calls["recorded"] > 0
    assert calls["repeated"] == 0
    assert (kill["turn"], kill["calls_answered"], kill["calls_recorded"]) == (3, 1, 1)
    assert kill["replies"] == 0
    assert kill["calls_after"] > 0
    assert summary["audit"]["entries"] > 0
    assert summary["audit"]["head"].startswith(f"{summary['audit']['entries']}:")
    _told_in_order(
        told,
        "Cancel order #W4821106 of Mara Lind: 6 items, 1266.00 USD goes",
        "needs 2 people of refunds, nobody who asked for it (four eyes)",
        "ines.okafor (refunds, returns) decides to accept; the approval still needs 1 person of refunds",
        "ines.okafor decides to accept once more, and is refused: AlreadyDecided",
        "approval_reminded",
        "approval_escalated",
        "from now on the approval needs 1 person of refunds or refunds-lead",
        "tove.lindqvist (refunds-lead) decides to accept; the approval is accepted",
        "Order #W4821106 is cancelled. 1266.00 USD goes back",
        "cancel_pending_order is executed: it was carried out once",
        f"{summary['audit']['entries']} entries, each with the hash of the one before",
    )


async def test_a_signal_ends_the_demonstration_and_its_workers(stack_settings: Settings) -> None:
    async with _demo(stack_settings) as (demo, mark):
        assert demo.stdout is not None
        async for line in demo.stdout:
            if b"is ready" in line:
                break
        assert len(_marked(mark)) == 2
        demo.send_signal(signal.SIGTERM)
        assert await demo.wait() == 128 + signal.SIGTERM
        assert _marked(mark) == []


async def test_a_broken_promise_is_named_and_ends_with_exit_code_1(
    stack_settings: Settings,
) -> None:
    environment = {"HOLDFAST_LIMITS__STEPS_PER_TURN": "2"}
    async with _demo(stack_settings, **environment) as (demo, mark):
        told, _ = await demo.communicate()
        assert demo.returncode == 1
        said = " ".join(told.decode().split())
        assert "expected that turn 1 of 'new-address' is answered; found: awaiting_human" in said
        assert _marked(mark) == []


async def test_the_story_needs_nobody_who_reads_it_and_no_character_of_its_own(
    stack_settings: Settings,
) -> None:
    """Told in ASCII to a reader who has seen enough after one line."""
    async with _demo(stack_settings, PYTHONIOENCODING="ascii") as (demo, mark):
        assert demo.stdout is not None
        assert demo.stderr is not None
        await demo.stdout.readline()
        demo.stdout._transport.close()  # type: ignore[attr-defined]
        assert await demo.stderr.read() == b""
        assert await demo.wait() == 0
        assert _marked(mark) == []


async def test_servers_that_do_not_answer_are_named(stack_settings: Settings) -> None:
    nowhere = "127.0.0.1:9"
    async with _demo(stack_settings, HOLDFAST_TEMPORAL_ADDRESS=nowhere) as (demo, _):
        told, _ = await demo.communicate()
        assert demo.returncode == 1
        assert f"cannot reach Temporal at {nowhere}" in told.decode()


@asynccontextmanager
async def _demo(
    settings: Settings, *arguments: str, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The demonstration as a process, and the mark in its environment, which its workers inherit."""
    mark = uuid4().hex
    assert settings.temporal_address is not None
    assert settings.database_url is not None
    assert settings.migration_url is not None
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "holdfast_shop.demo",
        *arguments,
        cwd=ROOT,
        env={
            **os.environ,
            "HOLDFAST_TEMPORAL_ADDRESS": settings.temporal_address,
            "HOLDFAST_TEMPORAL_NAMESPACE": settings.temporal_namespace,
            "HOLDFAST_DATABASE_URL": settings.database_url.get_secret_value(),
            "HOLDFAST_MIGRATION_URL": settings.migration_url.get_secret_value(),
            "HOLDFAST_REVIEWER_KEYS": settings.reviewer_keys or "",
            "HOLDFAST_SIGNING_KEY": str(settings.signing_key or ""),
            "PYTHONUNBUFFERED": "1",
            "TEST_MARK": mark,
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process, mark
    finally:
        for left in _marked(mark):
            left.kill()
        await process.wait()


def _told_in_order(told: bytes, *passages: str) -> None:
    """The story has these passages in this order, however its lines are broken."""
    story = " ".join(told.decode().replace("│", " ").split())
    at = 0
    for passage in passages:
        found = story.find(passage, at)
        assert found >= 0, f"{passage!r} is not told, or not there: {story[at:]}"
        at = found + len(passage)


def _marked(mark: str) -> list[psutil.Process]:
    """The processes that run with this mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TEST_MARK") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found
