"""A model that answers at once, over the OpenAI wire format: `python -m bench.model`.

A process of its own, so that its work is on nobody's account. It prints its address, and ends with its
standard input. It routes triage to the agent `bench`, has that agent propose what a message asks for
(`propose N`), and says "Done." to everything else.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from holdfast.runtime.process import exit_process
from holdfast.testing import ModelReply, ScriptedModel, is_triage, route, text, tool_calls

PROPOSE = "propose"


def answer(request: Mapping[str, Any]) -> ModelReply:
    """What the model says to a request."""
    if is_triage(request):
        return route("bench")
    said = request["messages"][-1]
    words = said["content"].split() if said["role"] == "user" else []
    if words[:1] == [PROPOSE]:
        return tool_calls(("add", {"counter": "bench", "amount": int(words[1])}))
    return text("Done.")


async def _serve() -> None:
    async with ScriptedModel(answer) as model:
        print(json.dumps({"base_url": model.base_url}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
    exit_process(0)
