"""docs/reviewers-tools.md: its Python runs, against a real platform and in a real graph."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langgraph.graph import END, START

from holdfast.contract.subgraph import propose
from holdfast.domain.review import Reject, Reviewer
from holdfast.testing import eventually, routed_to
from tests.counter import Add
from tests.docs.blocks import ROOT, blocks, write_files
from tests.edges.dialects.test_questions import ended, interrupt_of
from tests.graphs.running import Graph, Notes, Stepper, graph_of, tell
from tests.platform import Platform, counting

PAGE = ROOT / "docs" / "reviewers-tools.md"
SCHEMAS = {"add": Add}


@pytest.fixture
def page(tmp_path: Path) -> dict[str, Any]:
    """The modules of the page, by name."""
    assert len(blocks(PAGE, "python")) == len(write_files(PAGE, tmp_path)) == 3
    return {path.stem: _module(path) for path in tmp_path.glob("*.py")}


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"reviewers_tools_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_an_edit_of_the_inbox_is_executed_as_the_reviewer_wrote_it(
    page: dict[str, Any], platform: Platform
) -> None:
    answers = counting([("add", {"counter": "c", "amount": 100})])
    platform.script = routed_to("counter", answers)
    (approval,) = (await platform.send("c1", "a hundred")).approvals
    record = await platform.client.approvals.get(approval, reader="bob")
    asked = page["inbox"].ask(record)["action_request"]
    assert asked == {"action": "add", "args": {"counter": "c", "amount": 100}}

    asked["args"]["amount"] = "99"
    state = await page["inbox"].decide(
        platform.client,
        record,
        [{"type": "edit", "args": asked}],
        by=Reviewer("bob", roles=["counters"]),
        schemas=SCHEMAS,
    )
    assert state == "accepted"

    async def executed() -> bool:
        return await platform.effects() == [99]

    await eventually(executed)


async def test_a_hitl_request_is_asked_and_read(page: dict[str, Any], platform: Platform) -> None:
    amounts = [("add", {"counter": "c", "amount": amount}) for amount in (100, 101)]
    platform.script = routed_to("counter", counting(amounts))
    (approval,) = (await platform.send("c1", "two hundred")).approvals
    record = await platform.client.approvals.get(approval, reader="bob")
    request = page["hitl"].ask(record, SCHEMAS)
    assert [one["args"]["amount"] for one in request["action_requests"]] == [100, 101]
    assert "args_schema" in request["review_configs"][0]
    assert "args_schema" not in page["hitl"].ask(record, {})["review_configs"][0]

    answer = {"decisions": [{"type": "reject", "message": "Too much."}] * 2}
    assert page["hitl"].read(answer, record, SCHEMAS) == Reject("Too much.")


async def test_a_graph_asks_through_the_page_s_function(
    page: dict[str, Any], stepper: Stepper
) -> None:
    assert page["asking"].propose is propose

    async def act(state: Notes) -> dict[str, Any]:
        (response,) = page["asking"].ask(interrupt_of("refund", {}))
        return {"notes": [response["args"]]}

    def graph() -> Graph:
        built = graph_of(Notes, {"act": act, "tell": tell})
        return built.add_edge(START, "act").add_edge("act", "tell").add_edge("tell", END)

    _, snapshot = await stepper.proposal(graph)
    end = await stepper.step(graph, snapshot=snapshot, results=[ended("rejected", error="No.")])
    assert "refund was not executed (rejected): No." in str(end.outcome)
