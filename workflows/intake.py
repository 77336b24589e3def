"""The messages of one conversation: which are let in, which wait, and which were answered."""

from collections import deque
from typing import Protocol

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.activity_protocol import RecordedTurn
    from holdfast.domain.conversation import (
        ConversationStart,
        ConversationState,
        CustomerMessage,
        KnownMessage,
        QueuedMessage,
        TurnResult,
    )
    from holdfast.domain.errors import (
        ConversationBusy,
        MessageConflict,
        MessageTooLong,
        Refused,
        WrongCustomer,
    )
    from holdfast.domain.ids import text_digest


class RunningTurn(Protocol):
    """The running turn, as the intake sees it."""

    @property
    def running(self) -> int | None:
        """The running turn."""

    @property
    def answering(self) -> int | None:
        """The running turn, unless its message has been answered."""

    def interrupt(self, reason: str) -> None:
        """End the running turn for a message that does not want to wait."""


class Intake:
    """The queue of messages, and the memory that repeated messages are answered from."""

    def __init__(
        self, start: ConversationStart, state: ConversationState, turns: RunningTurn
    ) -> None:
        self._conversation = start.conversation
        self._limits = start.limits
        self._state = state
        self._turns = turns
        self._repeated: dict[str, RecordedTurn] = {}
        self.customer = start.customer
        """Whose conversation it is, according to the records once they were read."""
        self.has_forgotten = start.state is not None and start.state.turns > len(
            start.state.remembered
        )
        """Whether the records have turns whose messages this run does not remember."""
        self.queue: deque[QueuedMessage] = deque()
        self.results: dict[int, TurnResult | Refused] = {}
        """How the turns of this run ended."""

    def found(self, message_id: str, recorded: RecordedTurn) -> None:
        """Note the turn that a message had before this run."""
        self._repeated[message_id] = recorded

    def check(self, message: CustomerMessage) -> None:
        """Refuse a message that is too long, somebody else's, or used before with another text.

        Raises:
            MessageTooLong, WrongCustomer, MessageConflict.
        """
        if len(message.text) > self._limits.message_characters:
            raise MessageTooLong(
                f"the message has {len(message.text)} characters, the limit is "
                f"{self._limits.message_characters}"
            )
        if message.customer != self.customer:
            raise WrongCustomer(f"conversation {self._conversation!r} belongs to another customer")
        known = self._state.remembered.get(message.message_id)
        repeated = self._repeated.get(message.message_id)
        digest = known.digest if known else repeated.digest if repeated else None
        differs = digest is not None and digest != text_digest(message.text)
        if differs and self.disputed_by(message) is None:
            raise MessageConflict(
                f"message id {message.message_id!r} was used before with another text"
            )

    def disputed_by(self, message: CustomerMessage) -> int | None:
        """The turn that is under way for another text under the same id, if the records may know that the
        other text is the wrong one: the turn's first step finds out."""
        known = self._state.remembered.get(message.message_id)
        if known is None or known.digest == text_digest(message.text) or not self.has_forgotten:
            return None
        under_way = self.is_under_way(known.turn) and known.turn not in self.results
        return known.turn if under_way else None

    def refuse(self, queued: QueuedMessage, refused: Refused) -> None:
        """End the turn of a message whose id turned out to belong to another one."""
        self._state.remembered.pop(queued.message.message_id, None)
        self.results[queued.turn] = refused

    def check_capacity(self, message: CustomerMessage) -> None:
        """Raise `ConversationBusy` if there is no room for a new message, or it does not want to wait."""
        if message.on_busy == "reject" and (self._turns.running is not None or self.queue):
            raise ConversationBusy("a turn is running; send the message again later")
        if len(self.queue) >= self._limits.queued_messages:
            raise ConversationBusy(
                f"{len(self.queue)} messages are waiting already; send this one again later"
            )

    def is_over_full(self) -> bool:
        """Whether the queue is full, not counting the message that is about to run: several that come in one
        workflow task are all checked before any of them is accepted."""
        about_to_run = int(self._turns.running is None)
        return len(self.queue) - about_to_run >= self._limits.queued_messages

    def knows(self, message: CustomerMessage) -> bool:
        """Whether the message came before."""
        id_ = message.message_id
        return id_ in self._state.remembered or id_ in self._repeated

    def would_interrupt_unseen(self, message: CustomerMessage) -> bool:
        """Whether the message would end the running turn, although the records may know it."""
        if message.on_busy != "interrupt" or self._turns.answering is None:
            return False
        return self.has_forgotten and not self.knows(message)

    def recorded_answer(self, message: CustomerMessage) -> TurnResult | None:
        """The answer that the records had for the message when this run began."""
        repeated = self._repeated.get(message.message_id)
        return repeated.result if repeated else None

    def accept(self, message: CustomerMessage) -> int:
        """The turn of the message, which joins the queue if it is new. A message that a lost run had accepted
        keeps its turn."""
        known = self._state.remembered.get(message.message_id)
        if known is not None:
            return known.turn
        repeated = self._repeated.get(message.message_id)
        if repeated is not None:
            turn = repeated.turn
        else:
            self._state.turns += 1
            turn = self._state.turns
        self._remember(message, turn)
        queued = QueuedMessage(turn=turn, message=message)
        if message.on_busy == "interrupt":
            self.queue.appendleft(queued)
            self._turns.interrupt(f"interrupted by message {message.message_id}")
        else:
            self.queue.append(queued)
        return turn

    def is_under_way(self, turn: int) -> bool:
        """Whether the turn waits in the queue, runs, or has ended in this run."""
        queued = any(one.turn == turn for one in self.queue)
        return queued or turn == self._turns.answering or turn in self.results

    def _remember(self, message: CustomerMessage, turn: int) -> None:
        remembered = self._state.remembered
        remembered[message.message_id] = KnownMessage(turn=turn, digest=text_digest(message.text))
        while len(remembered) > self._limits.remembered_messages:
            del remembered[next(iter(remembered))]
