"""The loop of the orders graph, with a model scripted on the wire."""

from holdfast import Escalation
from holdfast.contract.tool_agent import MODEL_CALLS
from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain, Provider
from holdfast_shop.demo_data import ORDER_TO_CANCEL, SMALL_ORDER
from tests.scripted_model import Reply, ScriptedModel, text, tool_calls
from tests.shop.orders.conftest import OrdersAgent, Turn


def cancel(order: str) -> tuple[str, dict[str, str]]:
    return "cancel_pending_order", {"order_id": order, "reason": "no longer needed"}


async def ask(agent: OrdersAgent, scripted: ScriptedModel) -> tuple[Turn, ModelClient]:
    provider = Provider(name="scripted", base_url=scripted.base_url, model="scripted")
    client = ModelClient(Chain(providers=(provider,)), offline_transport=OfflineTransport())
    return await agent.ask("Cancel both", model=standalone_model(client)), client


async def test_reads_run_in_order_and_adjacent_writes_are_one_proposal(agent: OrdersAgent) -> None:
    calls = [
        ("get_order_details", {"order_id": SMALL_ORDER}),
        ("get_order_details", {"order_id": "#W0000000"}),
        cancel(SMALL_ORDER),
        cancel(ORDER_TO_CANCEL),
    ]
    async with ScriptedModel([tool_calls(*calls), text("All done.")]) as scripted:
        turn, client = await ask(agent, scripted)
        assert len(turn.proposal.actions) == 2
        before = len(scripted.requests)
        await turn.decided("executed", result={"status": "cancelled"})
        await client.aclose()

    assert turn.text == "All done."
    assert before == 1
    told = [m["content"] for m in scripted.requests[-1]["messages"] if m["role"] == "tool"]
    assert SMALL_ORDER in told[0]
    assert told[1:] == [
        '{"error": "Order not found"}',
        '{"status": "cancelled"}',
        '{"status": "cancelled"}',
    ]


async def test_a_refused_action_is_told_to_the_model_with_its_state(agent: OrdersAgent) -> None:
    async with ScriptedModel([tool_calls(cancel(SMALL_ORDER)), text("Sorry.")]) as scripted:
        turn, client = await ask(agent, scripted)
        await turn.decided("denied", error="Not on Sundays")
        await client.aclose()

    assert scripted.requests[-1]["messages"][-1]["content"] == (
        '{"error": "Not on Sundays", "state": "denied"}'
    )


async def test_a_model_that_never_stops_calling_is_stopped(agent: OrdersAgent) -> None:
    def answer(_: object) -> Reply:
        return tool_calls(("list_all_product_types", {}))

    async with ScriptedModel(answer) as scripted:
        turn, client = await ask(agent, scripted)
        await client.aclose()

    assert isinstance(turn.outcome, Escalation)
    assert len(scripted.requests) == MODEL_CALLS


async def test_arguments_that_do_not_fit_a_read_are_told_to_the_model(agent: OrdersAgent) -> None:
    bad = tool_calls(("get_order_details", {"order": SMALL_ORDER}))
    async with ScriptedModel([bad, text("Which order?")]) as scripted:
        turn, client = await ask(agent, scripted)
        await client.aclose()

    assert turn.text == "Which order?"
    assert "order_id" in scripted.requests[-1]["messages"][-1]["content"]


async def test_a_write_whose_arguments_cannot_be_used_is_told_and_proposes_nothing(
    agent: OrdersAgent,
) -> None:
    for reason in ("NaN", '"no longer\\ud83d needed"', "9" * 400, "[" * 1_000 + "]" * 1_000):
        bad = tool_calls(
            ("cancel_pending_order", f'{{"order_id": "{SMALL_ORDER}", "reason": {reason}}}')
        )
        async with ScriptedModel([bad, text("Why would you like to cancel?")]) as scripted:
            turn, client = await ask(agent, scripted)
            await client.aclose()

        assert turn.text == "Why would you like to cancel?"
        assert scripted.requests[-1]["messages"][-1]["role"] == "tool"


async def test_who_shall_be_handed_to_a_person_is_whatever_the_summary_is(
    agent: OrdersAgent,
) -> None:
    for summary in ('{"summary": "bad \\ud83d half"}', '{"summary": "the customer'):
        transfer = tool_calls(("transfer_to_human_agents", summary))
        async with ScriptedModel([transfer, text("A colleague goes on.")]) as scripted:
            turn, client = await ask(agent, scripted)
            await client.aclose()

        assert isinstance(turn.outcome, Escalation)
        assert turn.outcome.text == "A colleague goes on."
