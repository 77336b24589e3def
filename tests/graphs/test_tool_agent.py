"""The loop of a tool agent, with a model scripted on the wire."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from pydantic import BaseModel, JsonValue
from pytest_asyncio import fixture as async_fixture

from holdfast import (
    Action,
    ActionContext,
    Escalation,
    Exchange,
    Handoff,
    ProposedAction,
    Rationale,
    Read,
    ReadError,
    Reply,
    Subgraph,
    TurnContext,
    tool_agent,
)
from holdfast.contract.exchange import ANSWER_CHARACTERS
from holdfast.contract.tool_agent import MODEL_CALLS
from holdfast.domain.errors import ConfigurationError
from holdfast.domain.outcomes import Proposal
from holdfast.testing import GraphTurn, ModelReply, action_results, open_turn, text, tool_calls
from holdfast.testing.graph_turn import StepOutcome
from tests.graphs.asking import AGENTS


class Pay(BaseModel):
    """Pay."""

    amount: int


class Look(BaseModel):
    """Look something up."""

    what: str


async def _pay(context: ActionContext, pay: Pay) -> JsonValue:
    return None


async def _look(context: TurnContext, look: Look) -> JsonValue | Escalation:
    match look.what:
        case "nothing":
            raise ReadError("There is nothing.")
        case "trouble":
            raise OSError("disk full")
        case "person":
            return Escalation(reason="The read says so.")
        case "much":
            return "x" * (2 * ANSWER_CHARACTERS)
        case "junk":
            return {"found": "a\x00\ud800"}
        case what:
            return {"found": what, "for": context.customer}


PAY = Action(name="pay", description="Pay.", arguments=Pay, execute=_pay)
LOOK = Read(name="look", description="Look.", arguments=Look, run=_look)


def look(what: str) -> tuple[str, dict[str, Any]]:
    return "look", {"what": what}


def pay(amount: int, **more: bool) -> tuple[str, dict[str, Any]]:
    return "pay", {"amount": amount, **more}


def agent(**options: Any) -> Subgraph:
    given: dict[str, Any] = {"prompt": "You pay.", "reads": [LOOK], "actions": [PAY], **options}
    return tool_agent(name="payer", description="Pays.", **given)


def told(turn: GraphTurn) -> list[Any]:
    """What the model was told by its tools, in its latest request."""
    return [json.loads(one) for one in turn.model.tool_answers]


def proposal(outcome: StepOutcome) -> Proposal:
    assert isinstance(outcome, Proposal)
    return outcome


Open = Callable[..., Awaitable[GraphTurn]]


@async_fixture
async def turn() -> AsyncIterator[Open]:
    """Opens a turn whose model gives these answers, and then says "Done."."""
    async with AsyncExitStack() as opened:

        async def open_(
            *replies: ModelReply, by: Subgraph | None = None, **context: Any
        ) -> GraphTurn:
            answers = list(replies)
            turn = open_turn(
                by or agent(),
                lambda _: answers.pop(0) if answers else text("Done."),
                customer="ann",
                **context,
            )
            return await opened.enter_async_context(turn)

        yield open_


async def test_calls_are_answered_in_their_order_and_adjacent_actions_are_one_proposal(
    turn: Open,
) -> None:
    running = await turn(tool_calls(look("a"), pay(1), pay(2), look("b"), pay(3)))
    first = await running.start("Pay 5.")
    assert [one.arguments for one in proposal(first).actions] == [{"amount": 1}, {"amount": 2}]
    second = await running.resume(action_results(first, result={"paid": "both"}))
    assert [one.arguments for one in proposal(second).actions] == [{"amount": 3}]
    assert len(running.model.requests) == 1
    last = await running.resume(action_results(second))
    assert last == Reply(text="Done.")
    assert told(running) == [
        {"found": "a", "for": "ann"},
        {"paid": "both"},
        {"paid": "both"},
        {"found": "b", "for": "ann"},
        {"state": "executed"},
    ]


async def test_a_call_of_a_tool_that_is_gone_is_answered(turn: Open) -> None:
    running = await turn(tool_calls(pay(1), look("a")))
    waiting = await running.start("Pay 5.")
    running.subgraph = agent(reads=[])
    end = await running.resume(action_results(waiting))
    assert end == Reply(text="Done.")
    assert told(running)[1] == {"error": "There is no tool 'look'."}


async def test_arguments_that_do_not_fit_a_read_are_told_without_their_values(turn: Open) -> None:
    running = await turn(tool_calls(("look", {"where": "secret"})))
    assert await running.start("Pay 5.") == Reply(text="Done.")
    assert told(running)[0] == {"error": "The arguments do not fit: what: Field required"}


async def test_a_read_without_an_answer_is_told_and_another_failure_is_the_step_s(
    turn: Open,
) -> None:
    running = await turn(tool_calls(look("nothing")), tool_calls(look("trouble")))
    with pytest.raises(OSError, match="disk full"):
        await running.start("Pay 5.")
    assert told(running)[0] == {"error": "There is nothing."}


async def test_an_outcome_among_the_answers_ends_the_turn(turn: Open) -> None:
    running = await turn(tool_calls(look("a"), look("person"), look("trouble"), pay(1)))
    end = await running.start("Pay 5.")
    assert end == Escalation(reason="The read says so.")
    assert len(running.model.requests) == 1


@pytest.mark.parametrize("kind", ["read", "action"])
async def test_a_long_answer_is_cut_and_says_so(turn: Open, kind: str) -> None:
    running = await turn(tool_calls(look("much") if kind == "read" else pay(1)))
    end = await running.start("Pay 5.")
    if kind == "action":
        await running.resume(action_results(end, result=["x" * ANSWER_CHARACTERS]))
    (told,) = running.model.tool_answers
    assert "(cut: it has " in told
    assert len(told) < ANSWER_CHARACTERS + 100


async def test_what_no_database_takes_is_cleaned(turn: Open) -> None:
    running = await turn(tool_calls(look("junk")))
    await running.start("Pay 5.")
    assert told(running)[0] == {"found": "a?"}


async def test_more_actions_than_a_proposal_may_have_are_told_and_none_is_proposed(
    turn: Open,
) -> None:
    running = await turn(tool_calls(*[pay(n) for n in range(11)]))
    assert await running.start("Pay 5.") == Reply(text="Done.")
    assert len(running.model.tool_answers) == 11
    assert all("At most 10 changes" in one for one in running.model.tool_answers)


async def test_a_refusal_is_told_with_its_state_and_a_repetition_with_its_result(
    turn: Open,
) -> None:
    running = await turn(tool_calls(pay(1)), tool_calls(pay(2)), tool_calls(pay(3)))
    one = await running.start("Pay 5.")
    two = await running.resume(action_results(one, "denied", error="Too much."))
    three = await running.resume(action_results(two, "expired"))
    repeated = action_results(three, "repeated", error="Done before.", result={"paid": 3})
    await running.resume(repeated)
    assert told(running) == [
        {"error": "Too much.", "state": "denied"},
        {"error": "It was expired.", "state": "expired"},
        {"error": "Done before.", "state": "repeated", "earlier_result": {"paid": 3}},
    ]


async def test_a_confirmation_of_all_calls_is_the_proposal_s(turn: Open) -> None:
    running = await turn(
        tool_calls(pay(1, confirmed_again=True), pay(2)), tool_calls(pay(1, confirmed_again=True))
    )
    some = await running.start("Pay 5.")
    assert not proposal(some).again
    every = await running.resume(action_results(some))
    assert proposal(every).again
    assert proposal(every).actions[0].arguments == {"amount": 1}


async def test_the_model_may_hand_over_to_an_agent_that_is_there(turn: Open) -> None:
    def to(agent: str) -> ModelReply:
        return tool_calls(("hand_over_to", {"agent": agent, "note": "Orders."}))

    running = await turn(to("nobody"), to("orders"), agents=AGENTS)
    assert await running.start("Pay 5.") == Handoff(to="orders", note="Orders.")
    assert told(running)[0] == {"error": "There is no such agent."}


async def test_without_other_agents_nothing_can_be_handed_over(turn: Open) -> None:
    running = await turn()
    await running.start("Pay 5.")
    (request,) = running.model.requests
    assert [one["function"]["name"] for one in request["tools"]] == ["look", "pay"]


async def test_a_model_that_never_stops_calling_goes_to_a_person(turn: Open) -> None:
    running = await turn(*[tool_calls(look("a"))] * (MODEL_CALLS + 1))
    end = await running.start("Pay 5.")
    assert end == Escalation(reason="No answer after 16 model calls in one turn.")
    assert len(running.model.requests) == MODEL_CALLS


async def test_last_words_in_which_there_is_nothing_to_read_go_to_a_person(turn: Open) -> None:
    running = await turn(text("\u200b"))
    end = await running.start("Pay 5.")
    assert end == Escalation(reason="The model gave an empty answer.")


async def test_the_model_sees_the_prompt_the_note_and_the_latest_messages(turn: Open) -> None:
    def prompt(context: TurnContext) -> str:
        return f"You pay for {context.customer}."

    running = await turn(by=agent(prompt=prompt, window=2), note="They want to pay.")
    await running.start("One.", "Two.", "Three.")
    system, *said = running.model.requests[0]["messages"]
    assert system["content"].startswith("You pay for ann.\nAnother agent handed")
    assert system["content"].endswith("They want to pay.")
    assert [one["content"] for one in said] == ["Two.", "Three."]


async def test_a_reviewer_reads_the_customer_s_words_or_the_agent_s_own_rationale(
    turn: Open,
) -> None:
    def explain(exchange: Exchange, actions: Sequence[ProposedAction]) -> Rationale:
        seen = [(call.name, call.arguments, call.result) for call in exchange.calls]
        return Rationale(
            reason=f"{len(actions)} for {exchange.context.customer}",
            evidence=(str(seen),),
            holding_message="Wait.",
        )

    asked = tool_calls(look("a"), pay(1))
    plain = proposal(await (await turn(asked)).start("Pay 5."))
    assert (plain.reason, plain.evidence, plain.holding_message) == (
        "The customer wrote: “Pay 5.”",
        (),
        "",
    )
    own = proposal(await (await turn(asked, by=agent(explain=explain))).start("Pay 5."))
    assert own.reason == "1 for ann"
    assert own.evidence == ("[('look', {'what': 'a'}, {'found': 'a', 'for': 'ann'})]",)
    assert own.holding_message == "Wait."


async def test_the_last_words_may_become_something_else(turn: Open) -> None:
    def conclude(exchange: Exchange, said: str) -> Escalation | None:
        return Escalation(reason="It looked.", text=said) if exchange.calls else None

    concluding = agent(conclude=conclude)
    running = await turn(tool_calls(look("a")), text("Bye."), by=concluding)
    assert await running.start("Pay 5.") == Escalation(reason="It looked.", text="Bye.")
    assert await (await turn(by=concluding)).start("Pay 5.") == Reply(text="Done.")


@pytest.mark.parametrize("name", ["pay", "look", "hand_over_to"])
def test_two_tools_of_one_name_are_refused(name: str) -> None:
    other = Read(name=name, description="Look.", arguments=Look, run=_look)
    with pytest.raises(ConfigurationError, match=f"two tools named {name}"):
        agent(reads=[LOOK, cast(Any, other)])
