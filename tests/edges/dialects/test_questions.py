"""Brought graphs that ask people by themselves: what they propose instead, and what they hear."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import END, START
from pydantic import JsonValue

from holdfast.contract.subgraph import propose
from holdfast.domain.errors import InvalidRequest, NotExpressible
from holdfast.domain.outcomes import ActionResult, ActionState, Reply
from holdfast.edges.dialects.questions import proposal_of, read_question, resume_value
from tests.graphs.running import Graph, Notes, Stepper, graph_of, tell

ALL = ["approve", "edit", "reject", "respond"]
CONFIG = dict.fromkeys(["allow_ignore", "allow_respond", "allow_edit", "allow_accept"], True)


def interrupt_of(name: str, arguments: dict[str, JsonValue], **changes: Any) -> dict[str, Any]:
    """agent-inbox's question, as its users write it."""
    request = {"action": name, "args": arguments}
    return {"action_request": request, "config": CONFIG, "description": "Why.", **changes}


def request_of(*actions: tuple[str, dict[str, JsonValue]], allowed: Any = ALL) -> dict[str, Any]:
    """LangChain's question, as its middleware writes it: a config for each action."""
    return {
        "action_requests": [{"name": name, "args": arguments} for name, arguments in actions],
        "review_configs": [
            {"action_name": name, "allowed_decisions": allowed} for name, _ in actions
        ],
    }


def ended(
    state: ActionState, name: str = "refund", *, error: str | None = None, **arguments: JsonValue
) -> ActionResult:
    result = {"paid": 5} if state == "executed" else None
    return ActionResult(
        id="act_1", name=name, arguments=arguments, state=state, result=result, error=error
    )


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=5,
)
arguments = st.dictionaries(st.sampled_from(["order", "amount", "note"]), values)
names = st.sampled_from(["refund", "notify", "ship"])


@given(name=names, args=arguments, listed=st.booleans())
def test_an_interrupt_of_the_inbox_is_proposed_as_it_is(
    name: str, args: dict[str, JsonValue], listed: bool
) -> None:
    question = interrupt_of(name, args)
    proposal = proposal_of(read_question([question] if listed else question))
    assert [(one.name, one.arguments) for one in proposal.actions] == [(name, args)]
    assert proposal.reason == "Why."


@given(actions=st.lists(st.tuples(names, arguments), min_size=1, max_size=10))
def test_a_hitl_request_is_proposed_action_by_action_in_order(
    actions: list[tuple[str, dict[str, JsonValue]]],
) -> None:
    proposal = proposal_of(read_question(request_of(*actions)))
    assert [(one.name, one.arguments) for one in proposal.actions] == actions


def test_a_question_without_a_description_gets_a_reason_all_the_same() -> None:
    alone = proposal_of(read_question(interrupt_of("refund", {}, description=None)))
    assert alone.reason == "The agent asks for refund."
    both = read_question(request_of(("refund", {}), ("notify", {})))
    told = proposal_of(both, evidence=["A photo."], holding_message="One moment.")
    assert told.reason == "The agent asks for refund, notify."
    assert (told.evidence, told.holding_message) == (("A photo.",), "One moment.")


@pytest.mark.parametrize(
    ("question", "error", "named"),
    [
        ({}, InvalidRequest, "action_request"),
        (None, InvalidRequest, "HumanInterrupt"),
        ([], InvalidRequest, "list of 0"),
        ([interrupt_of("a", {}), interrupt_of("b", {})], InvalidRequest, "list of 2"),
        (interrupt_of("a", {}, urgent=True), InvalidRequest, "urgent"),
        ({**request_of(("a", {})), "more": 1}, InvalidRequest, "more"),
        (request_of(("a", {}), allowed=["accept"]), InvalidRequest, "allowed_decisions"),
        (interrupt_of("a", {}, config={**CONFIG, "allow_respond": False}), NotExpressible, "a"),
        (request_of(("a", {}), allowed=["approve", "reject"]), NotExpressible, "respond"),
        (request_of(("a", {}), allowed=["approve", "respond"]), NotExpressible, "reject"),
        ({**request_of(("a", {})), "review_configs": []}, NotExpressible, "nothing for a"),
        (request_of(*[("a", {})] * 11), NotExpressible, "11"),
        (request_of(), NotExpressible, "1 to 10"),
    ],
)
def test_a_question_that_cannot_be_asked_or_answered_is_refused_before_it_is_proposed(
    question: JsonValue, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        proposal_of(read_question(question))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (ended("executed", order="W1"), 'refund was executed. Result: {"paid":5}'),
        (
            ended("executed", order="W2"),
            'refund was executed. A reviewer had changed it to {"order":"W2"}. Result: {"paid":5}',
        ),
        (ended("rejected", error="Too late."), "refund was not executed (rejected): Too late."),
        (ended("not_attempted"), "refund was not executed (not attempted): no reason was given"),
        (
            ended("responded", error="Ask for a photo."),
            "refund was not executed. A reviewer answers: Ask for a photo.",
        ),
        (
            ended("executed", order="W1", error="It should have been undone."),
            'refund was executed. Result: {"paid":5} It should have been undone.',
        ),
        (
            ended("compensated", error="notify failed"),
            "refund was executed, and then undone: notify failed",
        ),
    ],
)
def test_a_graph_hears_what_became_of_its_action_and_is_never_told_to_carry_it_out(
    result: ActionResult, words: str
) -> None:
    args: dict[str, JsonValue] = {"order": "W1"}
    inbox = resume_value(read_question(interrupt_of("refund", args)), [result])
    assert inbox == [{"type": "response", "args": words}]
    hitl = resume_value(read_question(request_of(("refund", args))), [result])
    type_ = "respond" if result.state == "executed" else "reject"
    assert hitl == {"decisions": [{"type": type_, "message": words}]}


@pytest.mark.parametrize("results", [[], [ended("executed", "notify")], [ended("executed")] * 2])
def test_the_results_of_another_question_are_refused(results: list[ActionResult]) -> None:
    with pytest.raises(InvalidRequest, match="about refund, the results are of"):
        resume_value(read_question(interrupt_of("refund", {})), results)


def ask(question: JsonValue) -> Any:
    """What stands in for `interrupt` in a graph that was written for these tools."""
    asked = read_question(question)
    proposal = proposal_of(asked)
    return resume_value(asked, propose(proposal.actions, reason=proposal.reason))


async def test_a_graph_that_was_written_for_the_inbox_runs_with_its_interrupt_replaced(
    stepper: Stepper,
) -> None:
    async def pay(state: Notes) -> dict[str, Any]:
        response = ask(interrupt_of("refund", {"order": "W1"}))[0]
        if response["type"] in ("accept", "edit"):
            raise AssertionError("the graph would carry out the action a second time")
        return {"notes": [response["args"]]}

    def graph() -> Graph:
        built = graph_of(Notes, {"pay": pay, "tell": tell})
        return built.add_edge(START, "pay").add_edge("pay", "tell").add_edge("tell", END)

    proposal, snapshot = await stepper.proposal(graph)
    assert proposal.reason == "Why."
    end = await stepper.step(graph, snapshot=snapshot, results=[ended("executed", order="W1")])
    assert end.outcome == Reply(text='refund was executed. Result: {"paid":5}')


async def test_a_graph_that_was_written_for_langchain_hears_of_each_action(
    stepper: Stepper,
) -> None:
    async def act(state: Notes) -> dict[str, Any]:
        answer = ask(request_of(("refund", {}), ("notify", {})))
        return {"notes": [f"{one['type']}: {one['message']}" for one in answer["decisions"]]}

    def graph() -> Graph:
        built = graph_of(Notes, {"act": act, "tell": tell})
        return built.add_edge(START, "act").add_edge("act", "tell").add_edge("tell", END)

    _, snapshot = await stepper.proposal(graph)
    results = [ended("executed"), ended("failed", "notify", error="The server is gone.")]
    end = await stepper.step(graph, snapshot=snapshot, results=results)
    assert end.outcome == Reply(
        text="reject: notify was not executed (failed): The server is gone.; "
        'respond: refund was executed. Result: {"paid":5}'
    )
