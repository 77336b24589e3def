"""The people of an approval: who asked, who accepted, who has claimed it or lent their voice."""

from datetime import datetime
from typing import Literal

from holdfast.domain.model import Frozen
from holdfast.domain.people import same_person


class Person(Frozen):
    """Somebody who asked for something, or says something. A customer and a reviewer of the same id are
    not the same person; they are not known to be different ones either."""

    id: str
    team: str | None = None
    kind: Literal["customer", "reviewer"] = "reviewer"

    def is_reviewer(self, reviewer: str | None) -> bool:
        """Whether this is that reviewer."""
        return self.kind == "reviewer" and same_person(self.id, reviewer)

    def may_be(self, reviewer: str | None) -> bool:
        """Whether nobody can tell this person from that reviewer. Four eyes take two people who are known
        to be two, and an id that a customer has, too, shows that of nobody."""
        return same_person(self.id, reviewer)


class Acceptance(Frozen):
    """Somebody who accepted, with the roles that they have and were lent."""

    person: Person
    roles: tuple[str, ...]


class Lease(Frozen):
    """Somebody has claimed it, until then."""

    reviewer: str
    until: datetime


class Delegation(Frozen):
    """Somebody has lent their voice."""

    reviewer: str
    to: str
    roles: tuple[str, ...]
