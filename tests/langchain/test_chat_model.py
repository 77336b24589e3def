"""The chat model for LangChain's agents: what it sends, what it gives back, and where it may be called."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel, ValidationError
from pytest_asyncio import fixture as async_fixture

from holdfast import Reply, Subgraph
from holdfast.langchain import HoldfastChatModel
from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain, Provider
from holdfast.testing import ScriptedModel, open_turn, text, tool_calls


class Weather(BaseModel):
    """The weather of a city."""

    city: str


class Address(BaseModel):
    """Where somebody lives."""

    street: str


@async_fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(lambda _: text("Hello.")) as scripted:
        yield scripted


@async_fixture
async def outside(model: ScriptedModel) -> AsyncIterator[HoldfastChatModel]:
    provider = Provider(name="scripted", base_url=model.base_url, model="scripted")
    client = ModelClient(Chain(providers=(provider,)), offline_transport=OfflineTransport())
    yield HoldfastChatModel(outside=standalone_model(client))
    await client.aclose()


def graph_of(node: Any) -> Subgraph:
    graph = StateGraph(MessagesState).add_node("ask", node).add_edge(START, "ask").compile()
    return Subgraph.of_messages(graph, name="brought", description="A graph.")


async def test_messages_and_tools_go_out_in_the_models_own_form(
    model: ScriptedModel, outside: HoldfastChatModel
) -> None:
    model.answer = lambda _: tool_calls(("Weather", {"city": "Leeds"}), content="Let me see.")
    said = await outside.bind_tools([Weather]).ainvoke(
        [
            SystemMessage("Be kind."),
            HumanMessage([{"type": "text", "text": "Hello"}]),
            AIMessage("", tool_calls=[{"id": "1", "name": "Weather", "args": {"city": "York"}}]),
            ToolMessage("Sun", tool_call_id="1"),
        ]
    )
    assert isinstance(said, AIMessage)
    assert (said.text, said.tool_calls) == (
        "Let me see.",
        [{"id": "call_1", "name": "Weather", "args": {"city": "Leeds"}, "type": "tool_call"}],
    )
    assert said.usage_metadata == {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    assert said.response_metadata["model_name"] == "scripted"
    (request,) = model.requests
    assert request["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "type": "function",
                    "id": "1",
                    "function": {"name": "Weather", "arguments": '{"city": "York"}'},
                }
            ],
        },
        {"role": "tool", "content": "Sun", "tool_call_id": "1"},
    ]
    assert request["tool_choice"] == "auto"
    assert [one["function"]["name"] for one in request["tools"]] == ["Weather"]


@pytest.mark.parametrize(
    ("chosen", "sent", "offered"),
    [
        (None, "auto", ["Weather", "Address"]),
        ("any", "required", ["Weather", "Address"]),
        ("none", "none", ["Weather", "Address"]),
        ("Address", "required", ["Address"]),
        ({"type": "function", "function": {"name": "Address"}}, "required", ["Address"]),
    ],
)
async def test_which_tool_is_called_may_be_chosen(
    model: ScriptedModel, outside: HoldfastChatModel, chosen: Any, sent: str, offered: list[str]
) -> None:
    if sent == "required":
        model.answer = lambda _: tool_calls((offered[0], {"city": "Leeds", "street": "A"}))
    await outside.bind_tools([Weather, Address], tool_choice=chosen).ainvoke("Hello")
    (request,) = model.requests
    assert request["tool_choice"] == sent
    assert [one["function"]["name"] for one in request["tools"]] == offered


async def test_an_answer_is_read_into_a_model(
    model: ScriptedModel, outside: HoldfastChatModel
) -> None:
    model.answer = lambda _: tool_calls(("Address", {"street": "Mill Lane 3"}))
    found = await outside.with_structured_output(Address).ainvoke("I live in Mill Lane 3")
    assert found == Address(street="Mill Lane 3")


async def test_a_node_that_blocks_asks_from_its_thread() -> None:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [HoldfastChatModel().invoke(state["messages"])]}

    async with open_turn(graph_of(ask), [text("Hello.")]) as turn:
        assert await turn.start("Hello?") == Reply(text="Hello.")


async def test_a_model_that_would_stop_the_loop_says_so() -> None:
    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [HoldfastChatModel().invoke(state["messages"])]}

    async with open_turn(graph_of(ask), []) as turn:
        with pytest.raises(RuntimeError, match="call `ainvoke` in an async node"):
            await turn.start("Hello?")


async def test_calls_of_parallel_branches_are_all_in_the_ledger() -> None:
    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await HoldfastChatModel().ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    for name in "abc":
        graph.add_node(name, ask).add_edge(START, name)
    brought = Subgraph.of_messages(graph, name="brought", description="A graph.")
    async with open_turn(brought, lambda _: text("Hello.")) as turn:
        assert await turn.start("Hello?") == Reply(text="Hello.")
        assert len(turn.model.requests) == 3


def test_outside_of_a_turn_it_asks_what_it_is_given() -> None:
    with pytest.raises(LookupError, match=r"outside of a turn: .*outside=\.\.\."):
        HoldfastChatModel().invoke("Hello")


@pytest.mark.parametrize(
    "option", [{"stop": ["."]}, {"temperature": 0}, {"parallel_tool_calls": False}]
)
async def test_options_that_these_models_do_not_take_are_refused(
    outside: HoldfastChatModel, option: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"takes no {next(iter(option))}"):
        await outside.ainvoke("Hello", **option)


def test_a_model_is_not_chosen_here() -> None:
    with pytest.raises(ValidationError, match="model"):
        HoldfastChatModel(model="gpt-4o")  # type: ignore[call-arg]


async def test_a_tool_choice_that_is_no_tool_is_refused(outside: HoldfastChatModel) -> None:
    with pytest.raises(ValueError, match="names 'Wether', which is none of the tools"):
        await outside.bind_tools([Weather], tool_choice="Wether").ainvoke("Hello")
