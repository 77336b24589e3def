"""Proposals that nodes make at once: which of them are one proposal, and which results belong to whom."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langgraph.types import Interrupt
from pydantic import JsonValue

from holdfast.domain.outcomes import MOST_ACTIONS, ActionResult, Proposal


def joined(proposals: Sequence[Proposal]) -> Proposal:
    """The proposals, in the graph's order, as one: as many from the first on as fit. The rest is
    proposed again when the graph goes on. Only such are joined as agree on `again`."""
    together = list(_together(proposals))
    reasons = dict.fromkeys(one.reason for one in together)
    return Proposal(
        actions=tuple(action for one in together for action in one.actions),
        reason="\n".join(reasons),
        evidence=tuple(dict.fromkeys(quote for one in together for quote in one.evidence)),
        again=together[0].again,
        holding_message=next((one.holding_message for one in together if one.holding_message), ""),
    )


def answers(
    interrupts: Sequence[Interrupt],
    proposals: Sequence[Proposal],
    results: Sequence[ActionResult],
) -> Mapping[str, JsonValue]:
    """What each interrupt is resumed with, by its id: the results of its own actions."""
    waiting = list(zip(interrupts, _together(proposals), strict=False))
    if sum(len(one.actions) for _, one in waiting) != len(results):
        # A snapshot of the time when they were served one after another, in the order of their ids.
        answered = min(interrupts, key=lambda one: one.id)
        return {answered.id: _plain(results)}
    given = iter(results)
    return {
        interrupt.id: _plain([next(given) for _ in proposal.actions])
        for interrupt, proposal in waiting
    }


def _together(proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    actions = 0
    for proposal in proposals:
        actions += len(proposal.actions)
        if actions > MOST_ACTIONS or proposal.again != proposals[0].again:
            return
        yield proposal


def _plain(results: Sequence[ActionResult]) -> list[Any]:
    return [result.model_dump(mode="json") for result in results]
