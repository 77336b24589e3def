"""What customers of the counters write, from which the scripted model reads what to do.

A message such as `#c3-0.m4 slow=1.5 think add=5 add=3+4` names itself, and asks for completions in
this order: one that thinks, one that adds 5, one that adds 3 and 4 in one proposal, and the last words.
The first of them takes 1.5 s. What is added goes to a counter of the message's own.
"""

import re
from typing import Any

from holdfast.domain.model import Frozen
from holdfast.testing import ModelReply, text, tool_calls

_NAMED = re.compile(r"^#([A-Za-z0-9._-]+)(.*)$")


class Wish(Frozen):
    """What a message asks for. Each of `steps` is a completion: the amounts that it adds, or none for
    thinking. `slow` is in seconds."""

    message: str
    steps: tuple[tuple[int, ...], ...] = ()
    slow: float = 0.0

    @property
    def amounts(self) -> tuple[int, ...]:
        """Everything that it wants to add, in order."""
        return tuple(amount for step in self.steps for amount in step)


def written(wish: Wish) -> str:
    """The message."""
    words = [f"#{wish.message}"]
    words += [f"slow={wish.slow:g}"] if wish.slow else []
    words += [f"add={'+'.join(map(str, step))}" if step else "think" for step in wish.steps]
    return " ".join(words)


def understood(said: str) -> Wish | None:
    """What a message asks for; None for one that is not about counters."""
    named = _NAMED.match(said)
    if named is None:
        return None
    slow = 0.0
    steps: list[tuple[int, ...]] = []
    for word in named[2].split():
        name, _, value = word.partition("=")
        if name == "slow":
            slow = float(value)
        else:
            steps.append(tuple(int(amount) for amount in value.split("+")) if value else ())
    return Wish(message=named[1], steps=tuple(steps), slow=slow)


def last_words(message: str) -> str:
    """How the agent ends the turn of a message."""
    return f"Done with {message}."


def answer_to(wish: Wish, request: dict[str, Any]) -> ModelReply:
    """The agent's next completion: its place is the number of those that it gave before."""
    given = sum(message["role"] == "assistant" for message in request["messages"])
    reply = text(last_words(wish.message))
    if given < len(wish.steps):
        calls = [("add", {"counter": wish.message, "amount": one}) for one in wish.steps[given]]
        reply = tool_calls(*(calls or [("think", {})]))
    return reply.after(wish.slow) if wish.slow and given == 0 else reply
