"""What graphs leave behind can be stored, whatever is in its texts."""

from activities.bounded import bounded
from holdfast.domain.limits import AnswerBounds
from holdfast.domain.outcomes import Citation, Escalation, Reply


def test_texts_of_a_reply_and_its_citations_are_made_storable() -> None:
    cited = Citation(id="a\0", title="b\ud800", quote="c\0d")
    reply = bounded(Reply(text="e\0f", citations=(cited,)), AnswerBounds())
    assert reply.text == "ef"
    assert reply.citations == (Citation(id="a", title="b?", quote="cd"),)


def test_the_reason_of_an_escalation_is_made_storable() -> None:
    called = bounded(Escalation(reason="a\0", text="b\ud800"), AnswerBounds())
    assert (called.reason, called.text) == ("a", "b?")
