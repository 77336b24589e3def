"""One graph run alone, as a builder's test runs it."""

from typing import Any

import pytest
from pydantic import BaseModel

from holdfast import ActionContext, Escalation, ProposedAction, Read, Reply, TurnContext, tool_agent
from holdfast.contract.action import Action
from holdfast.domain.errors import ConfigurationError, ModelUnavailable
from holdfast.domain.outcomes import Proposal
from holdfast.runtime.settings import Settings
from holdfast.testing import (
    GivenRows,
    action_results,
    last_message,
    open_reads,
    open_turn,
    text,
    tool_calls,
)


class Open(BaseModel):
    """Open a door."""

    door: int


async def _open(context: ActionContext, wanted: Open) -> None:
    """It is never run here."""


async def _find(context: TurnContext, wanted: Open) -> Any:
    async with context.reads.connection() as connection:
        one = await connection.fetchrow("select $1::int as door, 'red' as color", wanted.door)
        every = await connection.fetch("select $1::int as door, 'red' as color", wanted.door)
        color = await connection.fetchval(
            "select $1::int as door, 'red' as color", wanted.door, column=1
        )
    assert one is not None
    return {"one": dict(one), "every": len(every), "color": color}


OPEN = Action(name="open", description="Open a door.", arguments=Open, execute=_open)
FIND = Read(name="find", description="Find a door.", arguments=Open, run=_find)
PORTER = tool_agent(
    name="porter", description="Doors.", prompt="You are a porter.", reads=[FIND], actions=[OPEN]
)
OPENS = tool_calls(("open", {"door": 7}))
FINDS = tool_calls(("find", {"door": 7}))
FOUND = '{"one": {"door": 7, "color": "red"}, "every": 1, "color": "red"}'


async def test_a_turn_proposes_and_goes_on_with_a_decision() -> None:
    async with open_turn(PORTER, [OPENS, text("It stays shut.")], customer="ann") as turn:
        proposal = await turn.start("Hello", "Which door?", "The seventh")
        assert isinstance(proposal, Proposal)
        assert proposal.actions == (ProposedAction(name="open", arguments={"door": 7}),)
        results = action_results(proposal, "rejected", error="It is night.", reviewer="mo")
        assert await turn.resume(results) == Reply(text="It stays shut.")
    asked, told = turn.model.requests
    assert [one["content"] for one in asked["messages"]][1:] == [
        "Hello",
        "Which door?",
        "The seventh",
    ]
    assert "It is night." in last_message(told)
    assert (turn.context.turn, turn.context.customer, turn.snapshot) == (2, "ann", None)


async def test_what_waits_goes_on_with_another_version_of_the_graph() -> None:
    async with open_turn(PORTER, [OPENS]) as turn:
        proposal = await turn.start("Open the seventh")
        turn.subgraph = tool_agent(
            name="porter",
            description="Doors.",
            prompt="You are a porter.",
            actions=[OPEN],
            conclude=lambda exchange, said: Escalation(reason=said),
        )
        turn.model.answer = lambda request: text("Who knows.")
        assert await turn.resume(action_results(proposal)) == Escalation(reason="Who knows.")


async def test_a_read_gets_the_rows_that_the_test_gives() -> None:
    reads = GivenRows(lambda query, door: [{"door": door, "color": "red"}])
    async with open_turn(PORTER, [FINDS, text("Red.")], reads=reads) as turn:
        assert await turn.start("Which color has it?") == Reply(text="Red.")
    assert turn.model.tool_answers == [FOUND]
    assert [arguments for _, *arguments in reads.queries] == [[7]] * 3


async def test_a_read_gets_what_postgres_has(stack_settings: Settings) -> None:
    async with (
        open_reads(stack_settings) as reads,
        open_turn(PORTER, [FINDS, text("Red.")], reads=reads) as turn,
    ):
        await turn.start("Which color has it?")
    assert turn.model.tool_answers == [FOUND]


async def test_a_read_without_anything_to_read_says_what_to_give() -> None:
    async with open_turn(PORTER, [FINDS]) as turn:
        with pytest.raises(ConfigurationError, match="give it `reads`"):
            await turn.start("Which color has it?")


async def test_a_script_that_is_too_short_is_named_where_the_turn_fails() -> None:
    with pytest.raises(ModelUnavailable) as failed:
        async with open_turn(
            PORTER, [FINDS], reads=GivenRows(lambda *_: [{"door": 7, "color": "red"}])
        ) as turn:
            await turn.start("Which color has it?")
    assert "the script has only 1 replies" in "".join(failed.value.__notes__)
