"""Signed statements: that this reviewer, with these roles, decides this, about what they saw.

A statement is a JSON Web Token (RFC 7519) with the type (`typ`) `holdfast-decision+jwt`, whose header
names the key (`kid`). An identity service may sign statements by itself. Its claims:

    iss       who signed it; free, unless the key is bound to an issuer (`KeyBounds`)
    aud       "holdfast-decision"
    sub       the reviewer
    team      the reviewer's team; null or left out where they have none
    roles     the reviewer's roles, a list in any order
    tenant, approval, digest, decision (its kind)
              what is decided: `digest` is the `args_digest` that the reviewer saw
    jti       the decision's id
    content   SHA-256, 64 hex digits, of the canonical JSON (sorted keys, no spaces, not escaped to
              ASCII) of {"actions": […], "text": …, "to": …} as in the decision; for a plain
              acceptance that is {"actions":[],"text":"","to":null}
    iat, exp  when it was signed, and until when it may be handed in, in seconds since 1970: 24 hours
              later at most; an `nbf`, from when on it may be, is respected

All of them are needed, but for `iss`, `team` and `nbf`; others are passed over.

What people do in a conversation (take it over, reply in it, hand it back) has statements of its own, of
the type `holdfast-person+jwt` and for the audience "holdfast-person": with `sub`, `tenant`, `jti`, `iat`
and `exp` as above, `conversation`, `act` ("take_over", "reply", "hand_back") and `content`, the digest of
{"text": …}: the reply, or the note that comes with handing back, else "".
"""

from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import AfterValidator

from holdfast.domain.decision import Decision
from holdfast.domain.errors import InvalidStatement
from holdfast.domain.ids import json_digest
from holdfast.domain.model import Frozen
from holdfast.domain.people import PersonAct
from holdfast.security.jwk import UsableKey
from holdfast.security.signing_key import SigningKey
from holdfast.security.tokens import (
    LIFETIME,
    Claims,
    check_audience,
    check_bounds,
    check_equal,
    check_times,
    claims_of,
    key_id,
    sign,
    times_of,
)
from holdfast.security.verification_keys import VerificationKeys

AUDIENCE = "holdfast-decision"
TYPE = "holdfast-decision+jwt"

ACT_AUDIENCE = "holdfast-person"
ACT_TYPE = "holdfast-person+jwt"


class Verifier(Protocol):
    """Says whether a decision, or what a person does in a conversation, comes from whom it names."""

    async def verify(self, decision: Decision, *, tenant: str, at: datetime) -> None:
        """Check a decision that came in at `at`; raises `InvalidStatement`."""

    async def verify_act(self, act: PersonAct, *, tenant: str, at: datetime) -> None:
        """Check what a person wants to do at `at`; raises `InvalidStatement`."""

    async def may_anybody(self, roles: frozenset[str], *, tenant: str) -> bool:
        """Whether anybody could sign, for this tenant, with one of these roles."""


class StatementVerifier:
    """Checks statements with the reviewers' public keys."""

    def __init__(self, keys: VerificationKeys) -> None:
        self._keys = keys

    @property
    def keys(self) -> VerificationKeys:
        """The keys that it checks with."""
        return self._keys

    async def verify(self, decision: Decision, *, tenant: str, at: datetime) -> None:
        """Check that the statement is genuine, was good at `at`, and says exactly this decision.

        `at` is when the decision came in, so that it can be checked again whenever it matters, as
        long as the key is still among the reviewers'.

        Raises:
            InvalidStatement: the message says what is wrong.
        """
        if not decision.statement:
            raise InvalidStatement("the decision has no signed statement")
        key = await self._keys.key(key_id(decision.statement, kind=TYPE))
        claims = claims_of(_Claims, decision.statement, key)
        check_times(claims, at)
        check_audience(claims, AUDIENCE)
        check_equal(claims, _said(decision, tenant), what="decision")
        _check_key(key, claims, tenant=tenant, roles=decision.roles)

    async def verify_act(self, act: PersonAct, *, tenant: str, at: datetime) -> None:
        """Check that the statement is genuine, good at `at`, and says exactly this act.

        Raises:
            InvalidStatement: the message says what is wrong.
        """
        if not act.statement:
            raise InvalidStatement(f"to {act.in_words} takes a signed statement, and there is none")
        key = await self._keys.key(key_id(act.statement, kind=ACT_TYPE))
        claims = claims_of(_ActClaims, act.statement, key)
        check_times(claims, at)
        check_audience(claims, ACT_AUDIENCE)
        check_equal(claims, _done(act, tenant), what="request")
        _check_key(key, claims, tenant=tenant, roles=())

    async def may_anybody(self, roles: frozenset[str], *, tenant: str) -> bool:
        """Whether there is a key that signs for this tenant and gives one of these roles."""
        return any(
            (bounds.tenants is None or tenant in bounds.tenants)
            and (bounds.roles is None or bool(roles & set(bounds.roles)))
            for bounds in await self._keys.bounds()
        )


class TrustingVerifier:
    """Takes decisions on their word, for installations that say so in their settings."""

    async def verify(self, decision: Decision, *, tenant: str, at: datetime) -> None:
        """Nothing is checked, nor is a statement where there is one."""

    async def verify_act(self, act: PersonAct, *, tenant: str, at: datetime) -> None:
        """Nothing is checked, nor is a statement where there is one."""

    async def may_anybody(self, roles: frozenset[str], *, tenant: str) -> bool:
        """Everybody may."""
        return True


def sign_decision(
    decision: Decision,
    *,
    tenant: str,
    key: SigningKey,
    now: datetime | None = None,
    lifetime: timedelta = LIFETIME,
) -> Decision:
    """The decision with a signed statement of it, which may be handed in for `lifetime`.

    Raises:
        InvalidRequest: the lifetime is shorter than a second, or longer than 24 hours.
        InvalidStatement: the key is bound to other tenants or roles.
    """
    times = times_of(lifetime, now, key)
    issuer = times["iss"]
    check_bounds(key.bounds, key.kid, tenant=tenant, roles=decision.roles, issuer=issuer)
    claims = _Claims(**dict(_said(decision, tenant)), **times, aud=AUDIENCE)
    return decision.model_copy(update={"statement": sign(claims, key, kind=TYPE)})


def sign_act(
    act: PersonAct,
    *,
    tenant: str,
    key: SigningKey,
    now: datetime | None = None,
    lifetime: timedelta = LIFETIME,
) -> str:
    """The signed statement of what a person wants to do; raises as `sign_decision`."""
    times = times_of(lifetime, now, key)
    check_bounds(key.bounds, key.kid, tenant=tenant, roles=(), issuer=times["iss"])
    claims = _ActClaims(**dict(_done(act, tenant)), **times, aud=ACT_AUDIENCE)
    return sign(claims, key, kind=ACT_TYPE)


class _DecisionContent(Frozen):
    """What a statement says, and what a decision says; these have to be equal."""

    sub: str
    team: str | None = None
    roles: Annotated[tuple[str, ...], AfterValidator(lambda roles: tuple(sorted(set(roles))))]
    tenant: str
    approval: str
    digest: str
    decision: str
    jti: str
    content: str


class _Claims(_DecisionContent, Claims):
    """All claims of a statement that are looked at."""


class _ActContent(Frozen):
    """What a statement says that a person does, and what is asked for; these have to be equal."""

    sub: str
    tenant: str
    conversation: str
    act: str
    jti: str
    content: str


class _ActClaims(_ActContent, Claims):
    """All claims of such a statement that are looked at."""


def _said(decision: Decision, tenant: str) -> _DecisionContent:
    content = decision.model_dump(mode="json", include={"text", "actions", "to"})
    return _DecisionContent(
        sub=decision.reviewer,
        team=decision.team,
        roles=decision.roles,
        tenant=tenant,
        approval=decision.approval,
        digest=decision.digest,
        decision=decision.kind,
        jti=decision.id,
        content=json_digest(content),
    )


def _done(act: PersonAct, tenant: str) -> _ActContent:
    return _ActContent(
        sub=act.reviewer,
        tenant=tenant,
        conversation=act.conversation,
        act=act.kind,
        jti=act.id,
        content=json_digest({"text": act.text}),
    )


def _check_key(key: UsableKey, claims: Claims, *, tenant: str, roles: tuple[str, ...]) -> None:
    check_bounds(key.bounds, key.kid, tenant=tenant, roles=roles, issuer=claims.iss)
