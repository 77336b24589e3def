"""What a turn that no agent ended says, worked out from its actions."""

from itertools import count

import pytest

from holdfast.domain.conversation import TurnStatus
from holdfast.domain.customer_texts import _TEXTS, customer_text
from holdfast.domain.endings import Account, EndedAction, WaitingAction, ending
from holdfast.domain.outcomes import ActionState
from holdfast.domain.past import PastState

_numbers = count(1)


def ended(
    title: str,
    state: ActionState,
    came_to: PastState | None = None,
    *,
    amount: int | None = None,
    step: int = 0,
    repeats: str | None = None,
) -> EndedAction:
    """What pays `amount`, or what the title says."""
    return EndedAction(
        id=f"act_{next(_numbers)}",
        name="pay",
        title=title,
        arguments={"paid": title if amount is None else amount},
        state=state,
        step=step,
        came_to="executed" if state == "executed" and came_to is None else came_to,
        repeats=repeats,
    )


PAID = ended("Pay 5", "executed")
SENT = ended("Send 5", "failed", "unclear")
DENIED = ended("Pay 900", "denied")
WAITING = WaitingAction(id="act_waits", title="Pay 150")


def end(
    *actions: EndedAction,
    status: TurnStatus = "failed",
    waiting: tuple[WaitingAction, ...] = (),
    language: str = "en",
    held: bool = False,
    to_person: bool = True,
) -> tuple[TurnStatus, str | None]:
    account = Account(actions=actions, waiting=waiting)
    return ending(account, status, language, held=held, to_person=to_person)


@pytest.mark.parametrize("action", [PAID, SENT])
@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_where_an_effect_may_stand_a_person_goes_on(
    action: EndedAction, status: TurnStatus
) -> None:
    as_status, text = end(action, DENIED, status=status)
    assert as_status == "awaiting_human"
    assert text is not None
    assert text.index(action.title) < text.index("Not done:\n- Pay 900")
    assert "Please try again" not in text
    assert "a colleague takes it from here" in text


@pytest.mark.parametrize(
    ("came_to", "phrase"),
    [
        ("executed", "Done before, and not done again:"),
        ("not_undone", "Done, and could not be taken back:"),
        ("unclear", "It is not certain yet whether this was done:"),
        ("under_way", "It is not certain yet whether this was done:"),
        ("waiting", "Waiting for a colleague's decision, so you need not ask for it again:"),
        (None, "Not done:"),
    ],
)
def test_what_repeats_another_is_told_as_what_that_one_came_to(
    came_to: PastState | None, phrase: str
) -> None:
    status, text = end(ended("Pay 5", "repeated", came_to, repeats="act_before"))
    assert status == "failed"
    assert text is not None
    assert f"{phrase}\n- Pay 5" in text


def test_what_is_repeated_within_the_turn_is_told_once() -> None:
    again = ended("Pay", "repeated", "executed", repeats=PAID.id)
    _, text = end(PAID, again, language="de")
    assert text is not None
    assert "Schon vorher" not in text
    assert "Erledigt:\n- Pay 5" in text


def test_what_stands_and_should_have_been_undone_needs_a_person() -> None:
    stands = ended("Pay 5", "executed", "not_undone")
    refused = ended("Pay 6", "refused")
    assert Account(actions=(stands, refused)).half_done
    status, text = end(stands, refused)
    assert status == "awaiting_human"
    assert text is not None
    assert "Done, and could not be taken back:\n- Pay 5" in text
    assert [one.came_to for one in Account(actions=(stands, SENT)).for_callers()] == [
        "not_undone",
        "unclear",
    ]


def test_a_part_that_stands_of_a_proposal_needs_a_person_where_another_was_not_done() -> None:
    for state in ("refused", "stale", "not_attempted", "compensated"):
        part = ended("Pay 6", state)
        assert Account(actions=(PAID, part)).half_done
        assert not Account(actions=(PAID, part.model_copy(update={"step": 4}))).half_done
    again = ended("Pay 6", "repeated", "executed", repeats="act_before")
    assert not Account(actions=(PAID, again)).half_done


def test_please_try_again_is_said_where_nothing_was_done_and_nothing_is_open() -> None:
    assert end() == ("failed", f"{customer_text('not_finished', 'en')} Please try again.")
    for actions, waiting in (
        ((PAID,), ()),
        ((SENT,), ()),
        ((ended("Pay 5", "repeated", "executed", repeats="act_before"),), ()),
        ((), (WAITING,)),
    ):
        _, text = end(*actions, waiting=waiting)
        assert text is not None
        assert "try again" not in text


def test_what_waits_is_named_and_the_turn_has_failed() -> None:
    status, text = end(waiting=(WAITING,))
    assert status == "failed"
    assert text is not None
    assert "need not ask for it again:\n- Pay 150" in text


def test_a_cancelled_turn_without_actions_ends_silently() -> None:
    assert end(status="cancelled") == ("cancelled", None)
    assert end(status="cancelled", waiting=(WAITING,)) == ("cancelled", None)


def test_nobody_is_called_where_the_agent_goes_on_with_the_next_message() -> None:
    status, text = end(PAID, status="cancelled", to_person=False)
    assert status == "cancelled"
    assert text is not None
    assert "Done:\n- Pay 5" in text
    assert "colleague" not in text


def test_who_holds_the_conversation_is_not_announced_again() -> None:
    assert end(status="awaiting_human", held=True) == ("awaiting_human", None)
    status, text = end(PAID, status="awaiting_human", held=True)
    assert status == "awaiting_human"
    assert text is not None
    assert text.startswith("A colleague has taken over")
    assert "Done:\n- Pay 5" in text
    _, text = end(status="awaiting_human")
    assert text == customer_text("handed_over", "en")


def test_what_was_done_at_last_is_not_among_what_was_not() -> None:
    _, text = end(ended("Pay 5", "refused", step=2), PAID, ended("Pay 6", "compensated"))
    assert text is not None
    assert text.count("Pay 5") == 1
    assert "Not done:\n- Pay 6" in text


def test_what_was_not_done_is_said_also_where_something_of_the_same_title_was() -> None:
    _, text = end(ended("Pay", "executed", amount=5), ended("Pay", "denied", amount=900))
    assert text is not None
    assert "Done:\n- Pay\n" in text
    assert "Not done:\n- Pay\n" in text


@pytest.mark.parametrize(
    ("state", "came_to", "phrase"),
    [
        ("executed", "executed", "Done:"),
        ("executed", "not_undone", "Done, and could not be taken back:"),
        ("failed", "unclear", "It is not certain yet whether this was done:"),
        ("denied", None, "Not done:"),
    ],
)
def test_it_is_said_how_often_something_of_one_title_came_to_the_same(
    state: ActionState, came_to: PastState | None, phrase: str
) -> None:
    some = [ended("Pay", state, came_to, amount=amount) for amount in (1, 2, 2)]
    _, text = end(ended("Send", state, came_to), *some)
    assert text is not None
    assert f"{phrase}\n- Send\n- 3 × Pay\n" in f"{text}\n"


def test_it_is_said_how_often_something_of_one_title_waits() -> None:
    others = (WAITING, WaitingAction(id="act_other", title="Pay 150"))
    again = ended("Pay 150", "repeated", "waiting", repeats=WAITING.id)
    elsewhere = ended("Pay 150", "repeated", "waiting", repeats="act_elsewhere")
    _, text = end(again, again.model_copy(update={"id": "act_again"}), elsewhere, waiting=others)
    assert text is not None
    assert "ask for it again:\n- 3 × Pay 150" in text


def test_what_was_done_before_is_told_once_however_often_it_is_asked_for() -> None:
    asked = [ended("Pay 5", "repeated", "executed", repeats="act_before") for _ in range(2)]
    _, text = end(*asked)
    assert text is not None
    assert "not done again:\n- Pay 5" in text


def test_what_is_tried_again_was_wanted_once() -> None:
    _, text = end(ended("Pay 5", "refused", step=2), ended("Pay 5", "refused", step=3))
    assert text is not None
    assert "Not done:\n- Pay 5" in text


def test_what_was_done_less_often_than_one_proposal_had_it_is_among_what_was_not() -> None:
    _, text = end(PAID, ended("Pay 5", "executed"), ended("Pay 5", "refused"))
    assert text is not None
    assert "Done:\n- 2 × Pay 5\n\nNot done:\n- Pay 5" in text


def test_long_lists_are_cut_and_say_so() -> None:
    _, text = end(*(ended(f"Pay {n}", "executed") for n in range(30)))
    assert text is not None
    assert "- Pay 7\n- and 22 more" in text
    _, text = end(*(ended(f"Pay {n // 3}", "executed", amount=n) for n in range(30)))
    assert text is not None
    assert "- 3 × Pay 7\n- and 6 more" in text
    account = Account(actions=tuple(ended(f"Pay {n}", "executed") for n in range(30)))
    assert len(account.for_callers()) == 20


@pytest.mark.parametrize("language", ["de", "de-AT", "DE"])
def test_german_customers_get_german(language: str) -> None:
    _, text = end(PAID, DENIED, language=language)
    assert text is not None
    assert "Erledigt:\n- Pay 5" in text
    assert "Nicht erledigt:\n- Pay 900" in text
    assert "Bitte senden Sie es nicht noch einmal" in text
    assert end(language="fr") == end(language="en")


def test_every_phrase_is_there_in_every_language() -> None:
    phrases = [set(texts) for texts in _TEXTS.values()]
    assert all(one == phrases[0] for one in phrases)
