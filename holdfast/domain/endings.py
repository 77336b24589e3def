"""What the customer is told, and the callers, where a turn ends without an agent's last word.

Worked out from the records of the turn's actions: what was done counts, not how far a graph has got.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from holdfast.domain.conversation import ActionEnd, TurnStatus
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import ActionState
from holdfast.domain.past import PastState
from holdfast.domain.texts import Phrase, customer_text

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

    def wanted_the_same(self, other: "EndedAction") -> bool:
        """Whether it would have done what the other one does."""
        return (self.name, self.arguments) == (other.name, other.arguments)


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of a turn's actions; `waiting` are the titles of what still waits for approval in
    the conversation."""

    actions: tuple[EndedAction, ...] = ()
    waiting: tuple[str, ...] = ()

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
        for one in self.actions:
            if one.repeats not in here:
                told[_phrase(one)].append(one)
        achieved = [one for phrase, some in told.items() if phrase != "not_done" for one in some]
        told["not_done"] = [
            one for one in told["not_done"] if not any(map(one.wanted_the_same, achieved))
        ]
        lists = [(phrase, _titles(actions)) for phrase, actions in told.items()]
        if waiting:
            _, titles = lists[-1]
            lists[-1] = ("waiting", list(dict.fromkeys([*titles, *self.waiting])))
        return "\n\n".join(_list(phrase, titles, language) for phrase, titles in lists if titles)


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


def _titles(actions: Iterable[EndedAction]) -> list[str]:
    """Their titles, each once."""
    return list(dict.fromkeys(one.title for one in actions))


def _list(phrase: Phrase, titles: Sequence[str], language: str) -> str:
    shown = [f"- {title}" for title in titles[:_MOST_LINES]]
    if left := len(titles) - len(shown):
        shown.append(f"- {customer_text('more', language).format(count=left)}")
    return "\n".join([customer_text(phrase, language), *shown])
