"""The scripted model of a run: answers all kinds of conversations, and notes every call."""

import random
import re
import time
from dataclasses import dataclass
from typing import Any

from bench.chaos import shopping
from bench.chaos.wording import answer_to, understood
from holdfast.testing import ModelReply, is_triage, route, text, tool_calls
from holdfast.testing.scripted_model import request_digest
from tests import tau2

_SECONDS = (0.02, 0.2)
"""How long a completion takes."""

_TASK = re.compile(r"^Task (\S+)\.")

RETAIL_FAREWELL = "That is all I could do for you today."


@dataclass(frozen=True)
class Call:
    """A call as it arrived: when (seconds since the epoch), and the customer's message it is about."""

    digest: str
    at: float
    said: str


class Model:
    """`answer` is the script for a `ScriptedModel`."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._tasks = {task.id: task for task in tau2.tasks()}
        self.calls: list[Call] = []
        self.unknown: list[str] = []
        """What customers said that nobody has planned."""

    def answer(self, request: dict[str, Any]) -> ModelReply:
        """The next completion."""
        customer = [one["content"] for one in request["messages"] if one["role"] == "user"]
        said = str(customer[-1]) if customer else ""
        self.calls.append(Call(digest=request_digest(request), at=time.time(), said=said))
        reply = self._reply(request, said)
        return reply.after(reply.delay + self._chance.uniform(*_SECONDS))

    def _reply(self, request: dict[str, Any], said: str) -> ModelReply:
        wish, task = understood(said), _TASK.match(said)
        if task is not None:
            return route("orders") if is_triage(request) else self._call_of(task[1], request)
        if (calls := shopping.errand(said)) is not None:
            return route("orders") if is_triage(request) else shopping.answer_to(calls, request)
        if wish is None:
            self.unknown.append(said)
            return text("I did not expect this.")
        return route("counter") if is_triage(request) else answer_to(wish, request)

    def _call_of(self, task: str, request: dict[str, Any]) -> ModelReply:
        """The task's next reference call: as many as there are answers of tools were made before."""
        made = sum(one["role"] == "tool" for one in request["messages"])
        calls = self._tasks[task].calls
        if made == len(calls):
            return text(RETAIL_FAREWELL)
        return tool_calls((calls[made].name, calls[made].arguments))
