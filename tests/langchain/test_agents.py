"""LangChain's agents, as people write them, brought unchanged."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent
from pydantic import BaseModel, JsonValue

from holdfast import (
    Action,
    ActionContext,
    PastAction,
    Subgraph,
    TranscriptMessage,
    current_turn,
)
from holdfast.domain.errors import BrokenContract
from holdfast.domain.outcomes import Citation, Escalation, Proposal, Reply
from holdfast.graphs.runner import SubgraphRunner
from holdfast.langchain import HoldfastChatModel, as_tool
from holdfast.testing import GraphTurn, action_results, open_turn, text, tool_calls


class Pay(BaseModel):
    """Pay."""

    amount: int


async def _pay(context: ActionContext, pay: Pay) -> JsonValue:
    raise AssertionError("only the platform executes")


PAY = Action(name="pay", description="Pay a sum.", arguments=Pay, execute=_pay)


@tool
def parcel(number: str) -> str:
    """Where a parcel is."""
    return f"{number} of {current_turn().customer} is in Leeds"


@tool(response_format="content_and_artifact")
async def articles(question: str) -> tuple[str, list[Document]]:
    """What the help centre says."""
    found = Document("Parcels take two days.", metadata={"source": "times", "title": "Times"})
    return "Two days.", [found, found]


def brought(graph: Any) -> Subgraph:
    return Subgraph.of_messages(graph, name="parcels", description="Parcels.")


AGENTS: dict[str, Callable[[], Any]] = {
    "create_agent": lambda: create_agent(
        HoldfastChatModel(), [parcel, articles, as_tool(PAY)], system_prompt="You help."
    ),
    "create_react_agent": lambda: create_react_agent(
        HoldfastChatModel(), [parcel, articles, as_tool(PAY)], prompt="You help."
    ),
}


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest) -> Subgraph:
    return brought(AGENTS[request.param]())


def told(turn: GraphTurn) -> list[str]:
    """What the model was told by its tools, in its latest request."""
    messages = turn.model.requests[-1]["messages"]
    return [one["content"] for one in messages if one["role"] == "tool"]


async def test_an_agent_answers_after_it_has_read(agent: Subgraph) -> None:
    script = [
        tool_calls(("parcel", {"number": "PX-1"}), ("articles", {"question": "when?"})),
        text("It is in Leeds."),
    ]
    async with open_turn(agent, script, customer="ann") as turn:
        assert await turn.start("Where is PX-1?") == Reply(
            text="It is in Leeds.",
            citations=(Citation(id="times", title="Times", quote="Parcels take two days."),),
        )
        assert told(turn) == ["PX-1 of ann is in Leeds", "Two days."]
        first = turn.model.requests[0]
    assert first["messages"] == [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": "Where is PX-1?"},
    ]
    assert [one["function"]["name"] for one in first["tools"]] == ["parcel", "articles", "pay"]


async def test_calls_of_one_answer_are_one_proposal_in_its_order(agent: Subgraph) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("pay", {"amount": 5}),
        ("parcel", {"number": "PX-1"}),
        ("pay", {"amount": 2}),
    ]
    async with open_turn(agent, [tool_calls(*calls), text("Paid.")], customer="ann") as turn:
        proposal = await turn.start("Pay 5, and 2.")
        assert isinstance(proposal, Proposal)
        assert [one.arguments for one in proposal.actions] == [{"amount": 5}, {"amount": 2}]
        assert proposal.reason == "The customer wrote: “Pay 5, and 2.”"
        results = [
            one.model_copy(update={"result": f"receipt {number}"})
            for number, one in enumerate(action_results(proposal), start=1)
        ]
        assert await turn.resume(results) == Reply(text="Paid.")
        assert told(turn) == ["receipt 1", "PX-1 of ann is in Leeds", "receipt 2"]


async def test_what_was_confirmed_again_is_proposed_again_without_the_flag(agent: Subgraph) -> None:
    calls = tool_calls(("pay", {"amount": 5, "confirmed_again": True}))
    async with open_turn(agent, [calls]) as turn:
        proposal = await turn.start("Yes, once more.")
    assert isinstance(proposal, Proposal)
    assert proposal.again
    assert proposal.actions[0].arguments == {"amount": 5}


async def test_the_words_of_this_turn_are_quoted_whatever_was_said_since(agent: Subgraph) -> None:
    script = [tool_calls(("pay", {"amount": 5})), tool_calls(("pay", {"amount": 6}))]
    async with open_turn(agent, script) as turn:
        first = await turn.start("Pay 5, then 6.")
        turn.transcript = [
            *turn.transcript,
            TranscriptMessage(seq=9, turn=2, role="customer", text="And the weather?"),
        ]
        second = await turn.resume(action_results(first))
    assert isinstance(second, Proposal)
    assert second.reason == "The customer wrote: “Pay 5, then 6.”"


async def test_an_agent_that_ends_in_another_form_says_how_it_is_told() -> None:
    class Weather(BaseModel):
        """The weather."""

        city: str

    script = [tool_calls(("Weather", {"city": "Leeds"}))]
    graph = create_agent(HoldfastChatModel(), [], response_format=Weather)
    async with open_turn(brought(graph), script) as turn:
        with pytest.raises(BrokenContract, match="structured response: say `map_output`"):
            await turn.start("Hello")
    mapped = Subgraph.of_messages(
        graph,
        name="weather",
        description="The weather.",
        map_output=lambda values: Reply(text=values["structured_response"].city),
    )
    async with open_turn(mapped, script) as turn:
        assert await turn.start("Hello") == Reply(text="Leeds")


async def test_what_a_tool_answers_directly_is_the_reply() -> None:
    @tool(return_direct=True)
    async def hours(day: str) -> str:
        """When the shop is open."""
        return f"From 9 to 5 on {day}."

    graph = create_agent(HoldfastChatModel(), [hours])
    async with open_turn(brought(graph), [tool_calls(("hours", {"day": "Monday"}))]) as turn:
        assert await turn.start("Monday?") == Reply(text="From 9 to 5 on Monday.")


async def test_a_row_without_a_title_is_no_source() -> None:
    @tool(response_format="content_and_artifact")
    async def rooms(day: str) -> tuple[str, list[dict[str, Any]]]:
        """Who sleeps where."""
        return "One.", [{"id": 12, "guest": "Mr. Secret"}]

    script = [tool_calls(("rooms", {"day": "Monday"})), text("One room.")]
    async with open_turn(brought(create_agent(HoldfastChatModel(), [rooms])), script) as turn:
        assert await turn.start("Rooms?") == Reply(text="One room.")


async def test_sources_that_are_none_are_no_empty_answer(agent: Subgraph) -> None:
    graph = create_agent(HoldfastChatModel(), [])
    linked = Subgraph.of_messages(
        graph,
        name="linked",
        description="Links.",
        citations=lambda messages: cast(Any, ["http://x"]),
    )
    async with open_turn(linked, [text("Fine.")]) as turn:
        with pytest.raises(BrokenContract, match="output of subgraph 'linked' can't be mapped"):
            await turn.start("Hello")


@pytest.mark.parametrize("asks", ["an agent", "a function", "a method", "bound"])
async def test_a_model_of_its_own_answers_and_is_named_once(
    caplog: pytest.LogCaptureFixture, asks: str
) -> None:
    own = GenericFakeChatModel(messages=iter([AIMessage("From elsewhere.")]))
    prompted = RunnableLambda(lambda messages: messages)

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await own.ainvoke(state["messages"])]}

    bound = prompted | own.bind()

    async def ask_bound(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    class Asking:
        def __init__(self) -> None:
            self.model = own

        async def ask(self, state: MessagesState) -> dict[str, Any]:
            return {"messages": [await self.model.ainvoke(state["messages"])]}

    def graph_of(node: Any) -> Any:
        return StateGraph(MessagesState).add_node("ask", node).add_edge(START, "ask").compile()

    graphs: dict[str, Callable[[], Any]] = {
        "an agent": lambda: create_agent(own, []),
        "a function": lambda: graph_of(ask),
        "a method": lambda: graph_of(Asking().ask),
        "bound": lambda: graph_of(ask_bound),
    }
    async with open_turn(brought(graphs[asks]()), []) as turn:
        assert await turn.start("Hello") == Reply(text="From elsewhere.")
    (warned,) = [one for one in caplog.messages if "a model of its own" in one]
    assert "subgraph 'parcels' asks a model of its own (GenericFakeChatModel)" in warned


def test_the_platform_s_own_model_is_none_of_its_own(
    agent: Subgraph, caplog: pytest.LogCaptureFixture
) -> None:
    SubgraphRunner(agent)
    assert not caplog.messages


async def test_a_graph_without_words_of_the_model_at_its_end_calls_a_person() -> None:
    silent = brought(create_agent(GenericFakeChatModel(messages=iter([AIMessage(" \u200b ")])), []))
    async with open_turn(silent, []) as turn:
        assert isinstance(await turn.start("Hello"), Escalation)


async def test_a_graph_whose_last_message_is_not_the_model_s_breaks_the_contract() -> None:
    async def nothing(state: MessagesState) -> dict[str, Any]:
        return {}

    graph = StateGraph(MessagesState).add_node("only", nothing).add_edge(START, "only")
    async with open_turn(brought(graph), []) as turn:
        with pytest.raises(BrokenContract, match="'parcels' ended without an outcome"):
            await turn.start("Hello")


async def test_another_agent_s_note_and_what_was_done_go_before_the_transcript(
    agent: Subgraph,
) -> None:
    done = PastAction(
        id="a",
        conversation="c-1",
        turn=1,
        name="pay",
        title="Paid 5",
        arguments={"amount": 5},
        state="executed",
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    async with open_turn(agent, [text("Yes.")], note="It is urgent.", executed=(done,)) as turn:
        await turn.start("Did you pay?")
    said = [one["content"] for one in turn.model.requests[0]["messages"]]
    assert said[0] == "You help."
    assert said[1] == "Another agent handed this message over to you: It is urgent."
    assert "Paid 5" in said[2]
    assert said[3] == "Did you pay?"
