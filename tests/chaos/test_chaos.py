"""A short run of `bench.chaos`: nothing is lost, duplicated, different or forbidden,
whatever is killed."""

import pytest

from bench.chaos.run import run_chaos


@pytest.mark.timeout(300)
async def test_conversations_come_out_right_while_everything_is_killed() -> None:
    report = await run_chaos(seed=7, minutes=0.6, workers=3)
    assert report.problems == ()
    assert report.kills > 0
    assert report.conversations > 0
    assert report.checked["answers"] > 0
    assert report.checked["effects judged by the rules of their moment"] > 0
    assert report.checked["histories replayed"] > 0
