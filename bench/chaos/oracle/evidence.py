"""What is known of conversations with a problem: the histories of their runs, and their records."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from bench.chaos.clients import ConversationKey, Seen
from bench.chaos.oracle.verdict import Verdict
from bench.chaos.stack import ChaosStack

_MOST = 30
"""Conversations that are written down, at most."""

_TABLES = {
    "turns": "turn",
    "steps": "turn, step",
    "messages": "seq",
    "events": "seq",
    "actions": "turn, step",
    "approvals": "turn",
}


async def write_evidence(stack: ChaosStack, seen: Seen, verdict: Verdict, folder: Path) -> None:
    """Write down the conversations that the problems name, a folder each."""
    problems = [what for _, what in verdict.problems]
    for key in [key for key in seen.plans if _is_named(key, problems)][:_MOST]:
        await _write(stack, key, seen.plans[key].model_dump_json(indent=1), folder)


def _is_named(key: ConversationKey, problems: Sequence[str]) -> bool:
    """Whether a problem is about the conversation: by its name, or by one of its messages."""
    tenant, conversation = key
    words = {word.strip("',:") for what in problems for word in what.split()}
    return any(
        word in (f"{tenant}/{conversation}", conversation)
        or word.startswith((f"{tenant}/{conversation}.", f"{conversation}."))
        for word in words
    )


async def _write(stack: ChaosStack, key: ConversationKey, plan: str, folder: Path) -> None:
    place = folder / "-".join(key)
    await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread((place / "plan.json").write_text, plan)
    records = {}
    for table, order in _TABLES.items():
        rows = await stack.database.fetch(
            f"select * from holdfast.{table} where tenant = $1 and conversation = $2 order by {order}",
            *key,
        )
        records[table] = [{name: str(value) for name, value in row.items()} for row in rows]
    await asyncio.to_thread((place / "records.json").write_text, json.dumps(records, indent=1))
    async for run in stack.temporal_client.list_workflows(f"WorkflowId = '{'/'.join(key)}'"):
        handle = stack.temporal_client.get_workflow_handle(run.id, run_id=run.run_id)
        history = await handle.fetch_history()
        await asyncio.to_thread((place / f"{run.run_id}.json").write_text, history.to_json())
