"""What the customer is told, and the callers, where a turn ends without an agent's last word.

Worked out from the records of the turn's actions: what was done counts, not how far a graph has got.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from holdfast.domain.conversation import ActionEnd, TurnStatus
from holdfast.domain.customer_texts import Phrase, customer_text
from holdfast.domain.ids import canonical_json
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import ActionState
from holdfast.domain.past import PastState

_MOST_LINES = 8
_MOST_NAMED = 20


class EndedAction(Frozen):
    """An action of a turn that has ended. `title` is how the customer reads it; `arguments` tells apart what
    has one title; `step` is that of its proposal; `came_to` is what it has come to, or the one that it `repeats`
    has, and None where nothing was done."""

    id: str
    name: str
    title: str
    arguments: dict[str, JsonValue]
    state: ActionState
    step: int = 0
    came_to: PastState | None = None
    repeats: str | None = None

    @property
    def may_stand(self) -> bool:
        """Whether it has an effect of its own that stands, or may."""
        own = self.repeats is None
        return own and self.came_to in ("executed", "not_undone", "unclear")

    @property
    def wanted(self) -> str:
        """What it would have done: the same as every action with the same text."""
        return canonical_json([self.name, self.arguments])

    @property
    def meant(self) -> str:
        """The action that what it has come to is of."""
        return self.repeats or self.id


class WaitingAction(Frozen):
    """An action that waits for approval. `title` is how the customer reads it."""

    id: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of a turn's actions; `waiting` is what still waits for approval in the conversation
    besides."""

    actions: tuple[EndedAction, ...] = ()
    waiting: tuple[WaitingAction, ...] = ()

    @property
    def needs_a_person(self) -> bool:
        """Whether something was done, or may have been, that the rest of the turn belongs to."""
        return any(one.may_stand for one in self.actions)

    @property
    def half_done(self) -> bool:
        """Whether something was done, or may have been, and something failed, stands that should have been
        undone, or was not done although it belongs to the same proposal: also an agent that has said what it
        knows leaves that to a person."""
        partly = {one.step for one in self.actions if one.may_stand}
        return bool(partly) and any(
            one.state == "failed"
            or one.came_to == "not_undone"
            or (one.came_to is None and one.step in partly)
            for one in self.actions
        )

    def for_callers(self) -> tuple[ActionEnd, ...]:
        """What became of the actions, in order, 20 at most."""
        ends = (
            ActionEnd(id=one.id, name=one.name, state=one.state, came_to=one.came_to)
            for one in self.actions
        )
        return tuple(ends)[:_MOST_NAMED]

    def lines(self, language: str, *, waiting: bool = False) -> str:
        """The account in words, a list for each kind, that of what is `waiting` where it is asked for;
        empty where there is nothing to tell."""
        told: dict[Phrase, list[EndedAction]] = {
            "done": [],
            "done_before": [],
            "not_undone": [],
            "unclear": [],
            "not_done": [],
            "waiting": [],
        }
        here = {one.id for one in self.actions}
        named: set[str] = set()
        for one in self.actions:
            if one.repeats not in here and one.meant not in named:
                named.add(one.meant)
                told[_phrase(one)].append(one)
        told["not_done"] = _left_undone(told)
        lists = {phrase: [one.title for one in some] for phrase, some in told.items()}
        if waiting:
            lists["waiting"] += [one.title for one in self.waiting if one.id not in named]
        else:
            del lists["waiting"]
        return "\n\n".join(_list(phrase, some, language) for phrase, some in lists.items() if some)


def ending(
    account: Account,
    status: TurnStatus,
    language: str,
    *,
    held: bool,
    to_person: bool,
) -> tuple[TurnStatus, str | None]:
    """How a turn ends that should end as `status`, and what the customer is told of it.

    Where an effect stands and the rest was not done, a person goes on, unless `to_person` is False.
    `held` says that a person has the conversation already: then there is something to tell only where
    the turn had actions. "Please try again" is said where nothing was done and nothing is open.
    """
    lines = account.lines(language, waiting=status == "failed")
    opening: Phrase
    closing: Phrase | None = None
    match status:
        case "failed":
            opening = "not_finished"
            closing = None if lines else "try_again"
        case "cancelled" if lines:
            opening = "cancelled"
        case "awaiting_human" if not held:
            opening = "handed_over"
        case "awaiting_human" if lines:
            opening = "taken_over"
        case _:
            return status, None
    if status in ("failed", "cancelled") and account.needs_a_person and to_person:
        status, closing = "awaiting_human", "person_goes_on"
    first = customer_text(opening, language)
    last = customer_text(closing, language) if closing else ""
    if not lines:
        return status, f"{first} {last}".strip()
    return status, "\n\n".join(part for part in (first, lines, last) if part)


def _phrase(action: EndedAction) -> Phrase:
    match action.came_to:
        case "executed":
            return "done" if action.repeats is None else "done_before"
        case "unclear" | "under_way":
            return "unclear"
        case "waiting" | "not_undone":
            return action.came_to
        case None:
            return "not_done"


def _left_undone(told: Mapping[Phrase, Sequence[EndedAction]]) -> list[EndedAction]:
    """Those that were not done, but for what was achieved all the same: what a later proposal asks for again is
    wanted once, what one proposal has several times is wanted as often."""
    wanted: Counter[str] = Counter()
    for (_, want), times in Counter(
        (one.step, one.wanted) for some in told.values() for one in some
    ).items():
        wanted[want] = max(wanted[want], times)
    wanted.subtract(
        one.wanted for phrase, some in told.items() if phrase != "not_done" for one in some
    )
    left: list[EndedAction] = []
    for one in told["not_done"]:
        if wanted[one.wanted] > 0:
            wanted[one.wanted] -= 1
            left.append(one)
    return left


def _list(phrase: Phrase, titles: Iterable[str], language: str) -> str:
    """A line for each title; it says how often, where that is not once."""
    counted = list(Counter(titles).items())
    often = customer_text("often", language)
    lines = [
        title if count == 1 else often.format(count=count, title=title)
        for title, count in counted[:_MOST_LINES]
    ]
    if left := sum(count for _, count in counted[_MOST_LINES:]):
        lines.append(customer_text("more", language).format(count=left))
    return "\n".join([customer_text(phrase, language), *(f"- {line}" for line in lines)])
