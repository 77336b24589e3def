"""What may come in, and which turn it gets: the intake of a conversation, without its workflow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast.domain.activity_protocol import RecordedTurn
from holdfast.domain.conversation import (
    ConversationStart,
    ConversationState,
    CustomerMessage,
    KnownMessage,
    OnBusy,
    QueuedMessage,
    TurnResult,
)
from holdfast.domain.errors import (
    ConversationBusy,
    MessageConflict,
    MessageTooLong,
    WrongCustomer,
)
from holdfast.domain.ids import text_digest
from holdfast.domain.limits import Limits
from holdfast.workflows.intake import Intake

LIMITS = Limits(message_characters=10, queued_messages=2, remembered_messages=3)


@dataclass
class Turn:
    """The turn that runs; with `goes_on` its message has had an answer."""

    running: int | None = None
    goes_on: bool = False
    interrupted: list[str] = field(default_factory=list)

    @property
    def answering(self) -> int | None:
        return None if self.goes_on else self.running

    def interrupt(self, reason: str) -> None:
        self.interrupted.append(reason)


def message(id: str = "m1", text: str = "hello", **fields: Any) -> CustomerMessage:
    return CustomerMessage.model_validate(
        {"message_id": id, "customer": "cust", "text": text, **fields}
    )


def opened(
    *,
    turn: Turn | None = None,
    turns: int = 0,
    remembered: Sequence[str] = (),
    continued: bool = True,
) -> tuple[Intake, ConversationState]:
    """The intake of a run that begins after `turns` turns, and remembers messages of the text hello; the
    last one of these had the last turn."""
    first = turns - len(remembered) + 1
    state = ConversationState(
        turns=turns,
        remembered={
            id: KnownMessage(turn=number, digest=text_digest("hello"))
            for number, id in enumerate(remembered, start=first)
        },
    )
    start = ConversationStart(
        tenant="t",
        conversation="c1",
        customer="cust",
        limits=LIMITS,
        state=state.model_copy(deep=True) if continued else None,
    )
    return Intake(start, state, turn or Turn()), state


def recorded(turn: int = 1, *, text: str = "hello", answered: bool = True) -> RecordedTurn:
    result = TurnResult(turn=turn, status="answered", reply="Hi.") if answered else None
    return RecordedTurn(turn=turn, digest=text_digest(text), result=result)


# What may not come in.


def test_a_message_has_a_length_and_a_customer() -> None:
    intake, _ = opened()
    intake.check(message(text="x" * 10))
    with pytest.raises(MessageTooLong, match="11 characters, the limit is 10"):
        intake.check(message(text="x" * 11))
    with pytest.raises(WrongCustomer):
        intake.check(message(customer="another"))


@pytest.mark.parametrize("known_from", ["this run", "the run before", "the records"])
def test_another_text_under_the_same_id_is_refused(known_from: str) -> None:
    remembered = ["m1"] if known_from == "the run before" else []
    intake, _ = opened(turns=len(remembered), remembered=remembered)
    if known_from == "this run":
        intake.accept(message())
    if known_from == "the records":
        intake.found("m1", recorded())
    intake.check(message())
    intake.check(message("m2", "goodbye"))
    with pytest.raises(MessageConflict, match="'m1' was used before"):
        intake.check(message(text="goodbye"))


def test_what_this_run_knows_of_an_id_counts_before_the_records() -> None:
    intake, _ = opened()
    intake.accept(message())
    intake.found("m1", recorded(text="goodbye"))
    intake.check(message())
    with pytest.raises(MessageConflict):
        intake.check(message(text="goodbye"))


# Whose text is right, where the records may know better.


def test_another_text_waits_while_the_records_may_know_the_message_that_is_under_way() -> None:
    intake, _ = opened(turns=5, remembered=["m5"])
    assert intake.accept(message("m6")) == 6
    assert intake.disputed_by(message("m6", "goodbye")) == 6
    intake.check(message("m6", "goodbye"))
    assert intake.disputed_by(message("m6")) is None
    assert intake.disputed_by(message("m7", "goodbye")) is None
    assert intake.disputed_by(message("m5", "goodbye")) is None  # no longer under way
    intake.results[6] = TurnResult(turn=6, status="answered")
    assert intake.disputed_by(message("m6", "goodbye")) is None


@pytest.mark.parametrize(
    ("turns", "remembered", "continued", "forgotten"),
    [
        (5, ["m5"], True, True),
        (1, ["m1"], True, False),
        (0, [], True, False),
        (0, [], False, False),
    ],
)
def test_a_run_knows_whether_the_records_have_turns_that_it_does_not_remember(
    turns: int, remembered: list[str], continued: bool, forgotten: bool
) -> None:
    intake, _ = opened(turns=turns, remembered=remembered, continued=continued)
    assert intake.has_forgotten == forgotten
    intake.accept(message("new"))
    assert (intake.disputed_by(message("new", "goodbye")) is not None) == forgotten


def test_a_refused_message_leaves_its_id_to_whom_it_belongs() -> None:
    intake, _ = opened(turns=5)
    turn = intake.accept(message())
    refused = MessageConflict("it is an old one")
    intake.refuse(QueuedMessage(turn=turn, message=message()), refused)
    assert intake.results == {turn: refused}
    assert not intake.knows(message())
    intake.check(message(text="goodbye"))


# Room.


def test_a_full_queue_refuses() -> None:
    intake, _ = opened(turn=Turn(running=1), turns=1)
    for number in range(2):
        intake.check_capacity(message("new"))
        intake.accept(message(f"q{number}"))
    with pytest.raises(ConversationBusy, match="2 messages are waiting already"):
        intake.check_capacity(message("new"))


@pytest.mark.parametrize(
    ("running", "waiting", "over_full"),
    [(1, 1, False), (1, 2, True), (None, 2, False), (None, 3, True)],
)
def test_the_message_that_is_about_to_run_needs_no_room(
    running: int | None, waiting: int, over_full: bool
) -> None:
    intake, _ = opened(turn=Turn(running=running))
    for number in range(waiting):
        intake.accept(message(f"q{number}"))
    assert intake.is_over_full() == over_full


def test_who_does_not_want_to_wait_is_refused_while_something_runs_or_waits() -> None:
    impatient = message("new", on_busy="reject")
    opened()[0].check_capacity(impatient)
    running, _ = opened(turn=Turn(running=1))
    with pytest.raises(ConversationBusy, match="a turn is running"):
        running.check_capacity(impatient)
    for patient in (message("new"), message("new", on_busy="interrupt")):
        running.check_capacity(patient)
    waiting, _ = opened()
    waiting.accept(message())
    with pytest.raises(ConversationBusy, match="a turn is running"):
        waiting.check_capacity(impatient)


# Interruptions.


@pytest.mark.parametrize(
    ("on_busy", "turn", "turns", "id", "unseen"),
    [
        ("interrupt", Turn(running=5), 5, "new", True),
        ("queue", Turn(running=5), 5, "new", False),
        ("interrupt", Turn(), 5, "new", False),
        ("interrupt", Turn(running=5, goes_on=True), 5, "new", False),
        ("interrupt", Turn(running=1), 1, "new", False),
        ("interrupt", Turn(running=5), 5, "m5", False),
        ("interrupt", Turn(running=5), 5, "found", False),
    ],
)
def test_only_a_message_that_the_records_may_know_is_looked_up_before_it_interrupts(
    on_busy: OnBusy, turn: Turn, turns: int, id: str, unseen: bool
) -> None:
    intake, _ = opened(turn=turn, turns=turns, remembered=["m5"])
    intake.found("found", recorded())
    assert intake.would_interrupt_unseen(message(id, on_busy=on_busy)) == unseen


def test_an_interruption_goes_first() -> None:
    turn = Turn(running=1)
    intake, _ = opened(turn=turn, turns=1)
    intake.accept(message("m2"))
    assert turn.interrupted == []
    intake.accept(message("m3", on_busy="interrupt"))
    assert [one.message.message_id for one in intake.queue] == ["m3", "m2"]
    assert turn.interrupted == ["interrupted by message m3"]


# Turns.


def test_new_messages_get_the_next_turns_in_order_and_repeated_ones_theirs() -> None:
    intake, state = opened(turns=4, remembered=["m4"])
    assert not intake.knows(message("m5"))
    assert [intake.accept(message(id)) for id in ("m5", "m6", "m4", "m5")] == [5, 6, 4, 5]
    assert [one.turn for one in intake.queue] == [5, 6]
    assert state.turns == 6
    assert intake.knows(message("m5"))


def test_a_message_whose_run_was_lost_keeps_its_turn() -> None:
    intake, state = opened(turns=4)
    intake.found("m3", recorded(3, answered=False))
    assert intake.knows(message("m3"))
    assert intake.recorded_answer(message("m3")) is None
    assert intake.accept(message("m3")) == 3
    assert [one.turn for one in intake.queue] == [3]
    assert state.turns == 4


def test_a_recorded_answer_is_found_again() -> None:
    intake, _ = opened(turns=1)
    intake.found("m1", recorded())
    answer = intake.recorded_answer(message())
    assert answer is not None
    assert answer.reply == "Hi."
    assert intake.recorded_answer(message("m2")) is None


def test_a_turn_is_under_way_while_it_waits_or_runs_and_once_it_has_ended() -> None:
    turn = Turn()
    intake, _ = opened(turn=turn, turns=1)
    waiting = intake.accept(message("m2"))
    assert intake.is_under_way(waiting)
    assert not intake.is_under_way(1)
    intake.queue.clear()
    assert not intake.is_under_way(waiting)
    turn.running = waiting
    assert intake.is_under_way(waiting)
    assert not intake.is_under_way(1)
    turn.running = None
    intake.results[waiting] = TurnResult(turn=waiting, status="answered")
    assert intake.is_under_way(waiting)


def test_the_oldest_messages_are_forgotten_first() -> None:
    intake, state = opened()
    for number in range(1, 5):
        intake.accept(message(f"m{number}"))
        assert len(state.remembered) == min(number, 3)
    assert list(state.remembered) == ["m2", "m3", "m4"]
    assert state.remembered["m4"] == KnownMessage(turn=4, digest=text_digest("hello"))
