"""What graphs leave behind can be stored, whatever is in its texts."""

from typing import Any

import pytest

from holdfast.activities.bounded import (
    MOST_CITATIONS,
    MOST_EVIDENCE,
    NOTE_CHARACTERS,
    bounded,
    bounded_note,
    bounded_proposal,
)
from holdfast.domain.limits import AnswerBounds
from holdfast.domain.outcomes import Citation, Escalation, Handoff, Proposal, ProposedAction, Reply


def test_texts_of_a_reply_and_its_citations_are_made_storable() -> None:
    cited = Citation(id="a\0", title="b\ud800", quote="c\0d")
    reply = bounded(Reply(text="e\0f", citations=(cited,)), AnswerBounds())
    assert reply.text == "ef"
    assert reply.citations == (Citation(id="a", title="b?", quote="cd"),)


def test_the_reason_of_an_escalation_is_made_storable() -> None:
    called = bounded(Escalation(reason="a\0", text="b\ud800"), AnswerBounds())
    assert (called.reason, called.text) == ("a", "b?")


def test_what_travels_in_temporals_payloads_is_bounded() -> None:
    note = bounded_note(Handoff(to="other", note="n\0" + "x" * 5_000_000)).note
    assert note.startswith("nx")
    assert len(note) <= NOTE_CHARACTERS
    cited = Citation(id="i" * 10_000, title="t" * 10_000, quote="q")
    kept = bounded(Reply(text="x", citations=(cited,) * 1_000), AnswerBounds()).citations
    assert len(kept) == MOST_CITATIONS
    assert max(len(one.id + one.title) for one in kept) <= 600


def proposal(**texts: Any) -> Proposal:
    return Proposal(actions=(ProposedAction(name="add"),), **{"reason": "They want it.", **texts})


def test_what_a_proposal_says_is_bounded() -> None:
    long = "x" * 5_000_000
    said = proposal(reason=long, evidence=(long,) * 1_000, holding_message=long)
    kept = bounded_proposal(said, AnswerBounds(reply_characters=500))
    assert len(kept.reason) <= NOTE_CHARACTERS
    assert len(kept.evidence) == MOST_EVIDENCE
    assert len(kept.evidence[0]) <= NOTE_CHARACTERS
    assert len(kept.holding_message) <= 500


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_a_holding_message_with_nothing_in_it_is_none(text: str) -> None:
    assert bounded_proposal(proposal(holding_message=text), AnswerBounds()).holding_message == ""
