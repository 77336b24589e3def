"""What a scenario is: a way to lead conversations along the path that its name says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from holdfast.domain.limits import Limits
from holdfast.testing import eventually, routed_to
from tests.platform import Platform, counting

POLICY = """
name: recorded
version: 1
actions:
  add:
    - {when: args.amount > 900, deny: true, reason: Nobody adds that much.}
    - {when: args.amount < 100, allow: true}
    - {when: args.counter == 'watched', approve: {roles: [boss]}}
    - {when: args.counter == 'quorum', approve: {roles: [boss, lead], quorum: 2}}
    - {when: args.counter == 'claimed', approve: {roles: [boss], claim_for: 1h}}
    - when: args.counter == 'ladder'
      approve: {roles: [counters], remind_after: 1s, escalate: [{after: 2s, roles: [boss]}]}
    - {when: args.counter == 'hasty', approve: {roles: [boss], expire_after: 1s}}
    - when: args.counter == 'silent'
      approve: {roles: [boss], expire_after: 1s, on_expiry: allow}
    - when: args.counter == 'personal'
      approve: {roles: [boss], expire_after: 1s, on_expiry: person}
    - when: args.counter == 'seams'
      approve: {roles: [counters], remind_after: 1s, expire_after: 48h}
    - {approve: {roles: [counters], expire_after: 48h}}
  add_for_good: allow
repeats: {add: allow, add_for_good: allow}
"""
"""What an addition needs is said by the name of its counter."""

Play = Callable[[Platform], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """Leads conversations along a path; `play` returns when everything has happened. Where it is
    `notified`, receivers are told of its approvals. Where it is not `in_process`, it starts its workers
    itself, and these have the counter's own policy."""

    path: str
    play: Play
    limits: Limits
    notified: bool
    in_process: bool


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *, limits: Limits | None = None, notified: bool = False, in_process: bool = True
) -> Callable[[Play], Play]:
    """Adds a function to the scenarios; its name is the path."""

    def add(play: Play) -> Play:
        path = play.__name__.replace("_", "-")
        SCENARIOS[path] = Scenario(path, play, limits or Limits(), notified, in_process)
        return play

    return add


def adding(amount: int, counter: str = "c", *, name: str = "add") -> tuple[str, dict[str, Any]]:
    """A call of the counter's action."""
    return name, {"counter": counter, "amount": amount}


async def park(
    platform: Platform, conversation: str, *, counter: str = "c", amount: int = 150
) -> str:
    """Have the agent propose an addition that needs an approval; the approval's id."""
    platform.script = routed_to("counter", counting([adding(amount, counter)], then="Settled."))
    parked = await platform.send(conversation, "add it")
    assert parked.status == "awaiting_approval", parked
    return parked.approvals[0]


async def said_again(platform: Platform, conversation: str, turn: int = 1) -> None:
    """Wait until a parked turn has gone on, and the agent has spoken a second time."""

    async def second() -> bool:
        said = await platform.client.messages(conversation)
        return sum(one.turn == turn and one.role == "assistant" for one in said) > 1

    await eventually(second, what="the follow-up")
