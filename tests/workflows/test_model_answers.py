"""What models get wrong, from the wire to Postgres: nothing of it fails a turn, or reaches a customer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from holdfast.domain.events import EventType
from holdfast.domain.limits import AnswerBounds
from holdfast.runtime.settings import Settings
from holdfast.testing import ModelReply, routed_to, text, tool_calls
from tests.platform import Platform, open_platform


def in_turn(*replies: ModelReply) -> Any:
    """The agent's answers, one after the other."""
    left = list(replies)
    return routed_to("counter", lambda _: left.pop(0))


async def events(platform: Platform, kind: EventType) -> list[dict[str, Any]]:
    rows = await platform.database.fetch(
        "select data from holdfast.events where tenant = $1 and type = $2 order by seq",
        platform.tenant,
        kind,
    )
    return [row["data"] for row in rows]


def told(platform: Platform) -> str:
    """What the model was last told as the result of a tool."""
    said = [m["content"] for m in platform.model.requests[-1]["messages"] if m["role"] == "tool"]
    return str(said[-1])


def _add(arguments: str) -> ModelReply:
    return tool_calls(("add", arguments))


async def test_a_nul_in_arguments_is_cleaned_before_it_reaches_postgres(
    platform: Platform,
) -> None:
    platform.script = in_turn(
        _add('{"counter": "c\\u0000", "amount\\u0000": 1}'), text("Do\0ne.\ud800")
    )
    answer = await platform.send("c1", "add one")
    assert (answer.status, answer.reply) == ("answered", "Done.?")
    assert await platform.effects() == [1]


async def test_calls_with_the_same_id_are_calls_of_their_own(platform: Platform) -> None:
    both = tool_calls(
        ("add", {"counter": "c", "amount": 1}), ("add", {"counter": "c", "amount": 2})
    )
    message = both.body["choices"][0]["message"]
    same = [{**call, "id": "same"} for call in message["tool_calls"]]
    platform.script = in_turn(text(None, tool_calls=same), text("Done."))
    assert (await platform.send("c1", "add")).reply == "Done."
    assert await platform.effects() == [1, 2]


async def test_numbers_that_no_column_takes_are_told_to_the_model(platform: Platform) -> None:
    for conversation, amount in (("c1", "9" * 5_000), ("c2", str(2**64)), ("c3", "NaN")):
        platform.script = in_turn(
            _add(f'{{"counter": "{conversation}", "amount": {amount}}}'), text("I could not.")
        )
        answer = await platform.send(conversation, "add much")
        assert (answer.status, answer.reply) == ("answered", "I could not.")
        assert '"error"' in told(platform)
        assert await platform.effects(conversation) == []
    assert await platform.client.approvals.list() == []
    assert {one["fault"] for one in await events(platform, "answer_unusable")} == {"arguments"}


async def test_a_tool_that_does_not_exist_is_told_to_the_model(platform: Platform) -> None:
    platform.script = in_turn(tool_calls(("subtract", {"counter": "c"})), text("I can only add."))
    assert (await platform.send("c1", "subtract one")).reply == "I can only add."
    assert "there is no tool 'subtract'" in told(platform)


async def test_an_answer_that_was_cut_off_is_never_sent(platform: Platform) -> None:
    whole = text("Your refund will be 12 euros.")
    body = text("Your refund will be 12").body
    cut = {**body, "choices": [{**body["choices"][0], "finish_reason": "length"}]}
    platform.script = in_turn(replace(whole, body=cut), whole)
    assert (await platform.send("c1", "How much?")).reply == "Your refund will be 12 euros."
    view = await platform.client.show("c1")
    assert [one.text for one in view.messages] == ["How much?", "Your refund will be 12 euros."]


async def test_a_proposal_of_too_many_actions_is_told_to_the_model_and_none_runs(
    platform: Platform,
) -> None:
    many: Sequence[tuple[str, dict[str, Any]]] = [("add", {"counter": "c", "amount": 1})] * 12
    platform.script = in_turn(tool_calls(*many), text("Too many."))
    assert (await platform.send("c1", "add a lot")).reply == "Too many."
    assert "At most 10 changes" in told(platform)
    assert await platform.effects() == []


async def test_an_answer_of_too_many_calls_is_told_to_the_model_and_none_runs(
    platform: Platform,
) -> None:
    many: Sequence[tuple[str, dict[str, Any]]] = [("add", {"counter": "c", "amount": 1})] * 500
    platform.script = in_turn(tool_calls(*many), text("Too many."))
    assert (await platform.send("c1", "add a lot")).reply == "Too many."
    assert await platform.effects() == []
    assert [(one["bound"], one["limit"]) for one in await events(platform, "bound_reached")] == [
        ("calls_per_answer", 16)
    ]


async def test_a_turn_makes_as_many_model_calls_as_it_may_over_all_its_steps_and_no_more(
    stack_settings: Settings, tenant: str
) -> None:
    bounds = AnswerBounds(turn_model_calls=3)
    async with open_platform(stack_settings, tenant, answers=bounds) as platform:
        again = routed_to("counter", lambda _: _add('{"counter": "c", "amount": 1}'))
        platform.script = again
        answer = await platform.send("c1", "add forever")
        assert answer.status in ("failed", "awaiting_human")
        assert len(platform.model.requests) == 3
        assert await platform.effects() == [1, 1]
        assert await events(platform, "bound_reached") == [
            {"bound": "turn_model_calls", "limit": 3}
        ]
        await platform.replay("c1")


async def test_a_reply_without_end_is_cut_and_marked(platform: Platform) -> None:
    long = text("word " * 8_000)
    platform.script = in_turn(long, long)
    await platform.send("c1", "Tell me everything")
    view = await platform.client.show("c1")
    assert view.messages[-1].text.endswith("word […]")
    assert len(view.messages[-1].text) <= 32_000
    assert [one["bound"] for one in await events(platform, "bound_reached")] == ["reply_characters"]
