"""What can be refused or can go wrong, each with the name that crosses the wire.

A workflow refuses with `ApplicationError(type=<code>)`; the client turns the code back into the
exception of that code. `ERRORS_BY_CODE` is that mapping.
"""

from typing import ClassVar, Literal


class HoldfastError(Exception):
    """Anything this library raises on purpose. `code` is its stable name on the wire: the class's name,
    unless it says another."""

    code: ClassVar[str] = "HoldfastError"

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        super().__init_subclass__()
        cls.code = code or cls.__name__


class Refused(HoldfastError):
    """The request was understood and refused; nothing was changed."""


class InvalidRequest(Refused):
    """The request itself is wrong: an id that may not be used, an empty text, a missing field."""


class MessageTooLong(Refused):
    """The message has more characters than `Limits.message_characters`."""


class MessageConflict(Refused):
    """This id of a message, of a person's reply or of a decision was already used with other content or
    by somebody else."""


class ConversationBusy(Refused):
    """A turn is running and the caller asked not to wait, or the queue is full. Send again later."""


class Overloaded(Refused):
    """The workers have as much to do as they can, or the tenant has its share of that. Send again after
    `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConversationMoved(Refused):
    """The run is handing over to its successor. Retry under the same message id; clients do so."""


class ConversationNotFound(Refused):
    """No conversation of this id exists in the tenant."""


class ConversationExists(Refused):
    """A fork was asked to create a conversation whose id is taken."""


class ConversationClosed(Refused):
    """The conversation is closed. A new message reopens it; other requests are refused."""


class WrongCustomer(Refused):
    """The conversation belongs to another customer."""


class TurnNotFound(Refused):
    """The conversation has no such turn, or not one in a state where the request makes sense."""


class NotHeld(Refused):
    """Only the person who has taken the conversation over may do this."""


class DeliveryNotFound(Refused):
    """The tenant has no delivery of this id."""


class DeliveryNotDead(Refused):
    """Only a delivery that was given up can be redriven; this one is delivered, or still tried."""


class ApprovalNotFound(Refused):
    """No approval of this id waits in this conversation."""


class AlreadyDecided(Refused):
    """The approval was decided before; the first decision stands."""


class ApprovalExpired(Refused):
    """The deadline of the approval has passed."""


class NotAllowed(Refused):
    """The reviewer may not decide this: a role is missing, or somebody else has to (four-eyes)."""


class DigestMismatch(Refused):
    """The decision quotes other arguments than those waiting: what the reviewer saw is out of date."""


class Superseded(Refused):
    """The arguments that the decision quotes were replaced by an edit; look at the new ones."""


class Claimed(Refused):
    """Somebody else is on this approval; their claim ends by itself."""


class InvalidStatement(Refused):
    """The decision's signed statement is missing, forged, expired, or about something else."""


class InvalidEdit(Refused):
    """The edited arguments do not fit the action's schema, or policy does not let them through."""


class NotExpressible(Refused):
    """One reviewers' tool cannot say what another says; nothing is lost in silence."""


class PolicyCasesFailed(Refused):
    """A policy does not say what the cases written for it expect."""


class AuditBroken(Refused):
    """The audit log is not what was written: an entry was changed, removed or inserted."""


class ConfigurationError(HoldfastError):
    """Settings, a policy file or a brought package are wrong; the message says which and how."""


class ExtraMissing(ConfigurationError, ImportError):
    """An optional part of Holdfast is used that is not installed; the message says how to install it."""


class PolicyError(ConfigurationError):
    """A policy file cannot be used; the message names file, line where known, and reason."""


class Unavailable(HoldfastError):
    """A server that is needed cannot be reached; the message names it and says what to do."""


class LockTaken(Unavailable):
    """Others hold a lock that this needs. It is tried again, and never counts as its failure; `key` says
    which lock."""

    def __init__(self, key: str) -> None:
        super().__init__("something else that it may not run beside has not ended yet")
        self.key = key


class NotApproved(HoldfastError):
    """What should be executed is not what people have approved; it is not executed."""


class StaleAttempt(HoldfastError):
    """A newer attempt of the same step has taken over; this one's work is discarded."""


class NotServedHere(HoldfastError):
    """This worker lacks an agent, an action or a node that the work needs; a worker that has it takes it
    over. Such an attempt does not count."""


class SubgraphFailed(HoldfastError):
    """A subgraph raised on every attempt it was given."""


class TookTooLong(HoldfastError):
    """An attempt at a step or an action was ended, since it ran for longer than its limit allows."""


class LoopBlocked(HoldfastError):
    """A node or an action kept its worker from doing anything else, until the worker was ended."""


class AttemptsLost(HoldfastError):
    """Too many workers died of, or fell silent over, the same piece of work; it is not tried again."""


class TurnTimedOut(HoldfastError):
    """A turn took longer than `Limits.turn_seconds`, the time in which it waited for people left out."""


class ModelUnavailable(HoldfastError):
    """No provider of the chain could answer. The turn waits, and goes to a person after
    `Limits.model_wait_seconds`.

    `retry_after`: the seconds after which one of them wants to be asked again, where all said so.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Permanent(HoldfastError):
    """Trying again would come to the same end: the attempt that raises it is the last one."""

    @property
    def detail(self) -> str:
        """Which of the kinds that this error has; empty where there is only one."""
        return ""


class BrokenContract(Permanent):
    """A subgraph ended without an outcome, or in one that is not its to give, or interrupted itself other
    than through `propose`."""


class TransactionEnded(Permanent):
    """Brought code has ended the transaction that it was lent: what it wrote before that may stand, and what
    came after it does."""


RefusalReason = Literal["content_filter", "context_length", "other"]


class ModelRefused(Permanent):
    """Every provider that could be asked refuses this request for good, with the `reason` of the first:
    filtered, too long for its context, or something else that it does not take."""

    def __init__(self, message: str = "", *, reason: RefusalReason = "other") -> None:
        super().__init__(message)
        self.reason: RefusalReason = reason

    @property
    def detail(self) -> str:
        return self.reason


class ModelAnswerUnusable(Permanent):
    """No provider gave an answer that can be used, although each was shown once what is wrong with its own."""


TurnBound = Literal["model_calls", "model_price"]


class TurnBudgetExceeded(Permanent):
    """The turn has reached the `bound` of the model calls or of the money that it may cost."""

    def __init__(self, message: str = "", *, bound: TurnBound = "model_calls") -> None:
        super().__init__(message)
        self.bound: TurnBound = bound

    @property
    def detail(self) -> str:
        return self.bound


def _all_errors(of: type[HoldfastError]) -> dict[str, type[HoldfastError]]:
    found = {of.code: of}
    for child in of.__subclasses__():
        found |= _all_errors(child)
    return found


ERRORS_BY_CODE: dict[str, type[HoldfastError]] = _all_errors(HoldfastError)

PERMANENT_CODES = frozenset(_all_errors(Permanent))
"""What a turn fails of that would fail again: a person goes on with it."""
