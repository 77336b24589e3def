"""The loop of the orders graph, with a model scripted on the wire."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from holdfast import Escalation, Reply
from holdfast.contract.tool_agent import MODEL_CALLS
from holdfast.testing import (
    GraphTurn,
    ModelReply,
    action_results,
    last_message,
    open_turn,
    text,
    tool_calls,
)
from holdfast.testing.scripted_model import Answer
from holdfast_shop.demo_data import CUSTOMER, ORDER_TO_CANCEL, SMALL_ORDER
from holdfast_shop.orders import orders
from tests.shop.acting import DEMO
from tests.shop.orders.conftest import KNOWLEDGE, OrdersAgent


def cancel(order: str) -> tuple[str, dict[str, str]]:
    return "cancel_pending_order", {"order_id": order, "reason": "no longer needed"}


def opened(
    agent: OrdersAgent, script: Answer | Sequence[ModelReply]
) -> AbstractAsyncContextManager[GraphTurn]:
    return open_turn(
        orders, script, tenant=DEMO, customer=CUSTOMER, reads=agent.reads, agents=(KNOWLEDGE,)
    )


async def test_reads_run_in_order_and_adjacent_writes_are_one_proposal(agent: OrdersAgent) -> None:
    calls = [
        ("get_order_details", {"order_id": SMALL_ORDER}),
        ("get_order_details", {"order_id": "#W0000000"}),
        cancel(SMALL_ORDER),
        cancel(ORDER_TO_CANCEL),
    ]
    async with opened(agent, [tool_calls(*calls), text("All done.")]) as turn:
        results = action_results(await turn.start("Cancel both"), result={"status": "cancelled"})
        assert len(results) == 2
        before = len(turn.model.requests)
        assert await turn.resume(results) == Reply(text="All done.")

    assert before == 1
    told = turn.model.tool_answers
    assert SMALL_ORDER in told[0]
    assert told[1:] == [
        '{"error": "Order not found"}',
        '{"status": "cancelled"}',
        '{"status": "cancelled"}',
    ]


async def test_a_refused_action_is_told_to_the_model_with_its_state(agent: OrdersAgent) -> None:
    async with opened(agent, [tool_calls(cancel(SMALL_ORDER)), text("Sorry.")]) as turn:
        proposal = await turn.start("Cancel both")
        await turn.resume(action_results(proposal, "denied", error="Not on Sundays"))

    assert last_message(turn.model.requests[-1]) == '{"error": "Not on Sundays", "state": "denied"}'


async def test_a_model_that_never_stops_calling_is_stopped(agent: OrdersAgent) -> None:
    def answer(_: object) -> ModelReply:
        return tool_calls(("list_all_product_types", {}))

    async with opened(agent, answer) as turn:
        assert isinstance(await turn.start("Cancel both"), Escalation)

    assert len(turn.model.requests) == MODEL_CALLS


async def test_arguments_that_do_not_fit_a_read_are_told_to_the_model(agent: OrdersAgent) -> None:
    bad = tool_calls(("get_order_details", {"order": SMALL_ORDER}))
    async with opened(agent, [bad, text("Which order?")]) as turn:
        assert await turn.start("Cancel both") == Reply(text="Which order?")

    assert "order_id" in last_message(turn.model.requests[-1])


async def test_a_write_whose_arguments_cannot_be_used_is_told_and_proposes_nothing(
    agent: OrdersAgent,
) -> None:
    for reason in ("NaN", '"no longer\\ud83d needed"', "9" * 400, "[" * 1_000 + "]" * 1_000):
        bad = tool_calls(
            ("cancel_pending_order", f'{{"order_id": "{SMALL_ORDER}", "reason": {reason}}}')
        )
        why = "Why would you like to cancel?"
        async with opened(agent, [bad, text(why)]) as turn:
            assert await turn.start("Cancel both") == Reply(text=why)

        assert turn.model.requests[-1]["messages"][-1]["role"] == "tool"


async def test_who_shall_be_handed_to_a_person_is_whatever_the_summary_is(
    agent: OrdersAgent,
) -> None:
    for summary in ('{"summary": "bad \\ud83d half"}', '{"summary": "the customer'):
        transfer = tool_calls(("transfer_to_human_agents", summary))
        async with opened(agent, [transfer, text("A colleague goes on.")]) as turn:
            outcome = await turn.start("Cancel both")

        assert isinstance(outcome, Escalation)
        assert outcome.text == "A colleague goes on."
