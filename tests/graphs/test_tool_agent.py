"""The loop of a tool agent, with a model scripted on the wire."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from pydantic import BaseModel, JsonValue
from pytest_asyncio import fixture as async_fixture

from holdfast import (
    Action,
    ActionContext,
    ActionResult,
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
from holdfast.domain.outcomes import ActionState, Proposal
from holdfast.graphs.runner import Progress, StepEnd, StepStart, SubgraphRunner
from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain, Provider
from tests.graphs.asking import AGENTS, transcript
from tests.graphs.conftest import NoReads
from tests.scripted_model import Reply as Answer
from tests.scripted_model import ScriptedModel, text, tool_calls


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


def results(
    proposal: Proposal, state: ActionState = "executed", **more: JsonValue
) -> list[ActionResult]:
    """What became of each action of a proposal."""
    return [
        ActionResult.model_validate(
            {"id": "a", "name": one.name, "arguments": one.arguments, "state": state, **more}
        )
        for one in proposal.actions
    ]


@dataclass
class Turn:
    """A turn of an agent, step by step through the runner; the model gives `answers`."""

    model: ScriptedModel
    client: ModelClient
    context: dict[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ("Pay 5.",)

    async def step(
        self, agent: Subgraph, before: StepEnd | None = None, results: Sequence[ActionResult] = ()
    ) -> StepEnd:
        """From the start, or on from a proposal with its results."""
        given: dict[str, Any] = {
            "agents": (),
            "note": "",
            "model": standalone_model(self.client),
            **self.context,
        }
        context = TurnContext(
            tenant="acme", conversation="c-1", turn=1, customer="ann", reads=NoReads(), **given
        )
        start = StepStart(
            transcript=transcript(*self.said),
            snapshot=before.snapshot if before else None,
            results=results if before else None,
        )
        return await SubgraphRunner(agent).run(
            start, context, progress=Progress(), save_snapshot=_forget
        )

    def told(self) -> list[str]:
        """What the model was told by its tools, in its latest request."""
        messages = self.model.requests[-1]["messages"]
        return [one["content"] for one in messages if one["role"] == "tool"]


async def _forget(snapshot: bytes) -> None:
    """Nothing is saved while a step runs."""


def proposal(end: StepEnd) -> Proposal:
    assert isinstance(end.outcome, Proposal)
    return end.outcome


Open = Callable[..., Turn]


@async_fixture
async def turn() -> AsyncIterator[Open]:
    """Opens a turn whose model gives these answers, and then says "Done."."""
    answers: list[Answer] = []
    async with ScriptedModel(lambda _: answers.pop(0) if answers else text("Done.")) as model:
        provider = Provider(name="scripted", base_url=model.base_url, model="scripted")
        client = ModelClient(Chain(providers=(provider,)), offline_transport=OfflineTransport())

        def opened(*replies: Answer, said: tuple[str, ...] = ("Pay 5.",), **context: Any) -> Turn:
            answers.extend(replies)
            return Turn(model, client, context, said)

        yield opened
        await client.aclose()


async def test_calls_are_answered_in_their_order_and_adjacent_actions_are_one_proposal(
    turn: Open,
) -> None:
    running = turn(tool_calls(look("a"), pay(1), pay(2), look("b"), pay(3)))
    first = await running.step(agent())
    assert [one.arguments for one in proposal(first).actions] == [{"amount": 1}, {"amount": 2}]
    second = await running.step(agent(), first, results(proposal(first), result={"paid": "both"}))
    assert [one.arguments for one in proposal(second).actions] == [{"amount": 3}]
    assert len(running.model.requests) == 1
    last = await running.step(agent(), second, results(proposal(second)))
    assert last.outcome == Reply(text="Done.")
    assert [json.loads(one) for one in running.told()] == [
        {"found": "a", "for": "ann"},
        {"paid": "both"},
        {"paid": "both"},
        {"found": "b", "for": "ann"},
        {"state": "executed"},
    ]


async def test_a_call_of_a_tool_that_is_gone_is_answered(turn: Open) -> None:
    running = turn(tool_calls(pay(1), look("a")))
    waiting = await running.step(agent())
    end = await running.step(agent(reads=[]), waiting, results(proposal(waiting)))
    assert end.outcome == Reply(text="Done.")
    assert json.loads(running.told()[1]) == {"error": "There is no tool 'look'."}


async def test_arguments_that_do_not_fit_a_read_are_told_without_their_values(turn: Open) -> None:
    running = turn(tool_calls(("look", {"where": "secret"})))
    assert (await running.step(agent())).outcome == Reply(text="Done.")
    assert json.loads(running.told()[0]) == {
        "error": "The arguments do not fit: what: Field required"
    }


async def test_a_read_without_an_answer_is_told_and_another_failure_is_the_step_s(
    turn: Open,
) -> None:
    running = turn(tool_calls(look("nothing")), tool_calls(look("trouble")))
    with pytest.raises(OSError, match="disk full"):
        await running.step(agent())
    assert json.loads(running.told()[0]) == {"error": "There is nothing."}


async def test_an_outcome_among_the_answers_ends_the_turn(turn: Open) -> None:
    running = turn(tool_calls(look("a"), look("person"), look("trouble"), pay(1)))
    end = await running.step(agent())
    assert end.outcome == Escalation(reason="The read says so.")
    assert len(running.model.requests) == 1


@pytest.mark.parametrize("kind", ["read", "action"])
async def test_a_long_answer_is_cut_and_says_so(turn: Open, kind: str) -> None:
    running = turn(tool_calls(look("much") if kind == "read" else pay(1)))
    end = await running.step(agent())
    if kind == "action":
        await running.step(agent(), end, results(proposal(end), result=["x" * ANSWER_CHARACTERS]))
    (told,) = running.told()
    assert "(cut: it has " in told
    assert len(told) < ANSWER_CHARACTERS + 100


async def test_what_no_database_takes_is_cleaned(turn: Open) -> None:
    running = turn(tool_calls(look("junk")))
    await running.step(agent())
    assert json.loads(running.told()[0]) == {"found": "a?"}


async def test_more_actions_than_a_proposal_may_have_are_told_and_none_is_proposed(
    turn: Open,
) -> None:
    running = turn(tool_calls(*[pay(n) for n in range(11)]))
    assert (await running.step(agent())).outcome == Reply(text="Done.")
    assert len(running.told()) == 11
    assert all("At most 10 changes" in one for one in running.told())


async def test_a_refusal_is_told_with_its_state_and_a_repetition_with_its_result(
    turn: Open,
) -> None:
    running = turn(tool_calls(pay(1)), tool_calls(pay(2)), tool_calls(pay(3)))
    one = await running.step(agent())
    two = await running.step(agent(), one, results(proposal(one), "denied", error="Too much."))
    three = await running.step(agent(), two, results(proposal(two), "expired"))
    more: dict[str, JsonValue] = {"error": "Done before.", "result": {"paid": 3}}
    await running.step(agent(), three, results(proposal(three), "repeated", **more))
    assert [json.loads(one) for one in running.told()] == [
        {"error": "Too much.", "state": "denied"},
        {"error": "It was expired.", "state": "expired"},
        {"error": "Done before.", "state": "repeated", "earlier_result": {"paid": 3}},
    ]


async def test_a_confirmation_of_all_calls_is_the_proposal_s(turn: Open) -> None:
    running = turn(
        tool_calls(pay(1, confirmed_again=True), pay(2)), tool_calls(pay(1, confirmed_again=True))
    )
    some = await running.step(agent())
    assert not proposal(some).again
    every = await running.step(agent(), some, results(proposal(some)))
    assert proposal(every).again
    assert proposal(every).actions[0].arguments == {"amount": 1}


async def test_the_model_may_hand_over_to_an_agent_that_is_there(turn: Open) -> None:
    def to(agent: str) -> Answer:
        return tool_calls(("hand_over_to", {"agent": agent, "note": "Orders."}))

    running = turn(to("nobody"), to("orders"), agents=AGENTS)
    assert (await running.step(agent())).outcome == Handoff(to="orders", note="Orders.")
    assert json.loads(running.told()[0]) == {"error": "There is no such agent."}


async def test_without_other_agents_nothing_can_be_handed_over(turn: Open) -> None:
    running = turn()
    await running.step(agent())
    (request,) = running.model.requests
    assert [one["function"]["name"] for one in request["tools"]] == ["look", "pay"]


async def test_a_model_that_never_stops_calling_goes_to_a_person(turn: Open) -> None:
    running = turn(*[tool_calls(look("a"))] * (MODEL_CALLS + 1))
    end = await running.step(agent())
    assert end.outcome == Escalation(reason="No answer after 16 model calls in one turn.")
    assert len(running.model.requests) == MODEL_CALLS


async def test_last_words_in_which_there_is_nothing_to_read_go_to_a_person(turn: Open) -> None:
    running = turn(text("\u200b"))
    end = await running.step(agent())
    assert end.outcome == Escalation(reason="The model gave an empty answer.")


async def test_the_model_sees_the_prompt_the_note_and_the_latest_messages(turn: Open) -> None:
    def prompt(context: TurnContext) -> str:
        return f"You pay for {context.customer}."

    running = turn(said=("One.", "Two.", "Three."), note="They want to pay.")
    await running.step(agent(prompt=prompt, window=2))
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
    plain = proposal(await turn(asked).step(agent()))
    assert (plain.reason, plain.evidence, plain.holding_message) == (
        "The customer wrote: “Pay 5.”",
        (),
        "",
    )
    own = proposal(await turn(asked).step(agent(explain=explain)))
    assert own.reason == "1 for ann"
    assert own.evidence == ("[('look', {'what': 'a'}, {'found': 'a', 'for': 'ann'})]",)
    assert own.holding_message == "Wait."


async def test_the_last_words_may_become_something_else(turn: Open) -> None:
    def conclude(exchange: Exchange, said: str) -> Escalation | None:
        return Escalation(reason="It looked.", text=said) if exchange.calls else None

    running = turn(tool_calls(look("a")), text("Bye."))
    assert (await running.step(agent(conclude=conclude))).outcome == Escalation(
        reason="It looked.", text="Bye."
    )
    assert (await turn().step(agent(conclude=conclude))).outcome == Reply(text="Done.")


@pytest.mark.parametrize("name", ["pay", "look", "hand_over_to"])
def test_two_tools_of_one_name_are_refused(name: str) -> None:
    other = Read(name=name, description="Look.", arguments=Look, run=_look)
    with pytest.raises(ConfigurationError, match=f"two tools named {name}"):
        agent(reads=[LOOK, cast(Any, other)])
