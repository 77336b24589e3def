"""A conversation over many runs: flat cost, and duplicates across every seam."""

import random
from typing import Any

import pytest

from holdfast.domain.limits import Limits
from holdfast.runtime.settings import Settings
from holdfast.testing import ModelReply, last_message, routed_to, text
from tests.platform import Platform, open_platform

SEED = 20261121


def echo(request: dict[str, Any]) -> ModelReply:
    if "Summarise" in str(request["messages"][0]["content"]):
        return text("They talked.")
    return text(f"Answer to {last_message(request)}")


async def history_bytes(platform: Platform) -> int:
    history = (await platform.client.show("long")).history
    assert history is not None
    return history.bytes


@pytest.mark.parametrize(
    ("turns", "turns_per_run"),
    [(90, 25), pytest.param(1_000, 200, marks=[pytest.mark.soak, pytest.mark.timeout(900)])],
)
async def test_a_long_conversation_costs_the_same_at_its_end_and_forgets_no_message(
    stack_settings: Settings, tenant: str, turns: int, turns_per_run: int
) -> None:
    limits = Limits(turns_per_run=turns_per_run, remembered_messages=20)
    rng = random.Random(SEED)
    cost: dict[int, int] = {}
    measured = (10, turns - 10)
    async with open_platform(stack_settings, tenant, limits=limits) as platform:
        platform.script = routed_to("counter", echo)
        for turn in range(1, turns + 1):
            before = await history_bytes(platform) if turn in measured else 0
            answer = await platform.send("long", f"text {turn:04}", message_id=f"m{turn}")
            assert (answer.turn, answer.reply) == (turn, f"Answer to text {turn:04}")
            if turn in measured:
                cost[turn] = await history_bytes(platform) - before
            if rng.random() < 0.1 or turn % turns_per_run in (0, 1):
                earlier = rng.randint(max(1, turn - 15), turn)
                again = await platform.send("long", f"text {earlier:04}", message_id=f"m{earlier}")
                assert again.turn == earlier
                assert again.reply == f"Answer to text {earlier:04}"
        assert abs(cost[turns - 10] - cost[10]) <= 0.1 * cost[10]
        assert platform.model.most_repeated == 1
        view = await platform.client.show("long")
        assert [message.seq for message in view.messages] == list(range(1, 2 * turns + 1))
        assert view.model_calls == len(platform.model.requests)
        summaries = [one for one in platform.model.requests if "Summarise" in str(one["messages"])]
        assert view.model_calls == 2 * turns + len(summaries)
        assert 0 < len(summaries) <= turns / 10
        await platform.replay("long")
