"""What a step leaves behind, within the bounds that hold for texts; graphs make texts without a model, too."""

from typing import TypeVar

from holdfast.domain.activity_protocol import StepRequest
from holdfast.domain.events import BoundReached
from holdfast.domain.limits import AnswerBounds
from holdfast.domain.outcomes import Citation, Escalation, Handoff, Proposal, Reply
from holdfast.domain.text import storable
from holdfast.llm.answer import cut_to

REASON_CHARACTERS = 1_000
"""Of the reason why a person is called, which is in the history."""

NOTE_CHARACTERS = 4_000
"""Of what one agent tells the next, which is in the history, too, and of what it tells a reviewer."""

MOST_CITATIONS = 50
MOST_EVIDENCE = 50
_CITATION_CHARACTERS = 300


_EndT = TypeVar("_EndT", Reply, Escalation)


def bounded(outcome: _EndT, bounds: AnswerBounds) -> _EndT:
    """The outcome as it can be stored and sent."""
    changes: dict[str, object] = {"text": cut_to(storable(outcome.text), bounds.reply_characters)}
    if isinstance(outcome, Escalation):
        changes["reason"] = cut_to(storable(outcome.reason), REASON_CHARACTERS)
    else:
        changes["citations"] = tuple(
            Citation(
                id=cut_to(storable(one.id), _CITATION_CHARACTERS),
                title=cut_to(storable(one.title), _CITATION_CHARACTERS),
                quote=storable(one.quote),
            )
            for one in outcome.citations[:MOST_CITATIONS]
        )
    return outcome.model_copy(update=changes)


def bounded_note(handoff: Handoff) -> Handoff:
    """The handoff as it can be stored and sent."""
    note = cut_to(storable(handoff.note), NOTE_CHARACTERS)
    return handoff.model_copy(update={"note": note})


def bounded_proposal(proposal: Proposal, bounds: AnswerBounds) -> Proposal:
    """The proposal as it can be stored and shown. A holding message with nothing in it is none."""
    holding = storable(proposal.holding_message).strip()
    evidence = proposal.evidence[:MOST_EVIDENCE]
    return proposal.model_copy(
        update={
            "reason": cut_to(storable(proposal.reason), NOTE_CHARACTERS),
            "evidence": tuple(cut_to(storable(one), NOTE_CHARACTERS) for one in evidence),
            "holding_message": cut_to(holding, bounds.reply_characters),
        }
    )


def reply_cut(request: StepRequest, bounds: AnswerBounds) -> BoundReached:
    """What is recorded of a text that a graph made too long."""
    return BoundReached(
        node=request.subgraph, bound="reply_characters", limit=bounds.reply_characters
    )
