"""Duties that fail are named in the log, and begin again."""

import asyncio

import pytest

from holdfast.worker.upkeep import keep_up


async def test_a_duty_that_fails_is_logged_and_begins_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = 0

    async def duty() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError("unexpected")

    async with asyncio.timeout(10):
        await keep_up("pruning", duty, pause=0)
    assert begun == 3
    assert [record.getMessage() for record in caplog.records] == [
        "pruning failed, and begins again in 0 s"
    ] * 2
