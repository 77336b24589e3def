"""What a reviewer's key may sign."""

from pydantic import ConfigDict

from holdfast.domain.model import Frozen


class KeyBounds(Frozen):
    """What statements a key may sign; what is not said is not bound.

    It is a member `holdfast` of the key in the set, such as `"holdfast": {"tenants": ["acme"], "roles":
    ["refunds"], "issuer": "https://id.example.com"}`.
    """

    model_config = ConfigDict(extra="forbid")

    tenants: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    issuer: str | None = None

    def within(self, other: "KeyBounds") -> "KeyBounds":
        """What both allow. Of two issuers neither is, so that nothing can be signed."""
        if self.issuer and other.issuer and self.issuer != other.issuer:
            return KeyBounds(tenants=(), roles=())
        return KeyBounds(
            tenants=_both(self.tenants, other.tenants),
            roles=_both(self.roles, other.roles),
            issuer=self.issuer or other.issuer,
        )


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(value for value in one if value in other)
