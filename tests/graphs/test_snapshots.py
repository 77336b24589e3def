"""Snapshots that wait are read by the code of today, whatever its modules were called then."""

import base64
from typing import Any

from langgraph.graph import END, START

from holdfast.contract.chat import ToolCall
from holdfast.contract.subgraph import TranscriptMessage, TurnState, propose
from holdfast.domain.outcomes import ActionResult, Proposal, Reply
from tests.graphs.asking import Asker
from tests.graphs.running import Graph, Stepper, action, done, graph_of

BEFORE_THE_ROOMS = base64.b64decode(
    "gaCV2SQxZjFlYTE2Mi02ODQ3LTZiYzUtODAwMS1mZTk1Yjg5YWUxMDTZJDFmMWVhMTYyLTY4NDYtNjA3Ni04MDAw"
    "LTFiOWI0ZjkxMjc3YZKnbXNncGFja8UCCIehdgSidHPZIDIwMjYtMTEtMjdUMDM6NTM6NDguMTU5MjcwKzAwOjAw"
    "omlk2SQxZjFlYTE2Mi02ODQ3LTZiYzUtODAwMS1mZTk1Yjg5YWUxMDSuY2hhbm5lbF92YWx1ZXODqnRyYW5zY3Jp"
    "cHSRx2kFlLtob2xkZmFzdC5zdWJncmFwaHMuY29udHJhY3SxVHJhbnNjcmlwdE1lc3NhZ2WEo3NlcQGkdHVybgGk"
    "cm9sZahjdXN0b21lcqR0ZXh0pkhlbGxvLrNtb2RlbF92YWxpZGF0ZV9qc29upWNhbGxzkcdXBZSxaG9sZGZhc3Qu"
    "bGxtLmNoYXSoVG9vbENhbGyDomlkpmNhbGxfMaRuYW1lo2FkZKlhcmd1bWVudHOBpmFtb3VudAGzbW9kZWxfdmFs"
    "aWRhdGVfanNvbq1icmFuY2g6dG86YWN0wLBjaGFubmVsX3ZlcnNpb25zhalfX3N0YXJ0X18CqnRyYW5zY3JpcHQC"
    "r2JyYW5jaDp0bzp0aGluawOlY2FsbHMDrWJyYW5jaDp0bzphY3QDrXZlcnNpb25zX3NlZW6DqV9faW5wdXRfX4Cp"
    "X19zdGFydF9fgalfX3N0YXJ0X18BpXRoaW5rga9icmFuY2g6dG86dGhpbmsCsHVwZGF0ZWRfY2hhbm5lbHOSrWJy"
    "YW5jaDp0bzphY3SlY2FsbHOSp21zZ3BhY2vEHIOmc291cmNlpGxvb3Ckc3RlcAGncGFyZW50c4CRldkkMGQwNTNl"
    "NzctZGE2ZS1mOGEwLThlMTktYjg3ZTc4Yjc2ZmQ5/a1fX2ludGVycnVwdF9fkqdtc2dwYWNrxLyRx7gCk69sYW5n"
    "Z3JhcGgudHlwZXOpSW50ZXJydXB0g6V2YWx1ZYaka2luZKhwcm9wb3NhbKdhY3Rpb25zkYKkbmFtZaNhZGSpYXJn"
    "dW1lbnRzgKZyZWFzb26pYXNrZWQgZm9yqGV2aWRlbmNlkKVhZ2FpbsKvaG9sZGluZ19tZXNzYWdloKJpZNkgYTRm"
    "MmEwOTQxN2U5NTU4NWEwNmZkN2U0YzQ1YjI3NWOvcmVzcG9uc2Vfc2NoZW1hwLN+X19wcmVnZWxfcHVsbCwgYWN0"
)
"""Taken in the node `act` below, when the contract was `holdfast.subgraphs.contract` and what a model
says `holdfast.llm.chat`."""


class Calls(TurnState):
    calls: list[ToolCall]


def waiting_graph() -> Graph:
    async def think(state: Calls) -> dict[str, Any]:
        raise AssertionError("the snapshot was taken after this node")

    async def act(state: Calls) -> dict[str, Any]:
        (message,) = state["transcript"]
        (call,) = state["calls"]
        assert isinstance(message, TranscriptMessage)
        assert isinstance(call, ToolCall)
        (result,) = propose(action(call.name), reason="asked for")
        return {"outcome": Reply(text=f"{message.text} {call.arguments} {result.result}")}

    graph = graph_of(Calls, {"think": think, "act": act})
    graph.add_edge(START, "think")
    graph.add_edge("think", "act")
    graph.add_edge("act", END)
    return graph


async def test_a_snapshot_from_before_its_types_were_moved_goes_on(asker: Asker) -> None:
    proposed = Proposal(actions=(action("add"),), reason="asked for")
    results: list[ActionResult] = done(proposed)
    end = await Stepper(asker).step(waiting_graph, snapshot=BEFORE_THE_ROOMS, results=results)
    assert end.outcome == Reply(text="Hello. {'amount': 1} add done")
