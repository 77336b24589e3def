"""Signed statements: that this reviewer, with these roles, decides this, about what they saw.

A statement is a JSON Web Token (RFC 7519) with the type (`typ`) `holdfast-decision+jwt`, whose header
names the key (`kid`). An identity service may sign statements by itself. Its claims:

    iss       who signed it; free, since the keys say whose word counts
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
"""

from datetime import UTC, datetime, timedelta
from reprlib import repr as shortened
from typing import Annotated, Protocol

import jwt
from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from holdfast.authority.jwk import UsableKey
from holdfast.authority.keys import SigningKey, VerificationKeys
from holdfast.domain.approval import Decision
from holdfast.domain.errors import InvalidRequest, InvalidStatement
from holdfast.domain.ids import json_digest
from holdfast.domain.model import Frozen

AUDIENCE = "holdfast-decision"
TYPE = "holdfast-decision+jwt"

_ISSUER = "holdfast"
_LIFETIME = timedelta(minutes=10)
_LONGEST_LIFETIME = timedelta(hours=24)
_LEEWAY_SECONDS = 60
_JWS = jwt.PyJWS()

Seconds = Annotated[int | float, Field(ge=0, le=253_402_300_799)]
"""Since 1970; the last one is that of the year 9999."""


class Verifier(Protocol):
    """Says whether a decision comes from whom it names."""

    async def verify(self, decision: Decision, *, tenant: str, at: datetime) -> None:
        """Check a decision that came in at `at`; raises `InvalidStatement`."""


class StatementVerifier:
    """Checks statements with the reviewers' public keys."""

    def __init__(self, keys: VerificationKeys) -> None:
        self._keys = keys

    async def verify(self, decision: Decision, *, tenant: str, at: datetime) -> None:
        """Check that the statement is genuine, was good at `at`, and says exactly this decision.

        `at` is when the decision came in, so that it can be checked again whenever it matters, as
        long as the key is still among the reviewers'.

        Raises:
            InvalidStatement: the message says what is wrong.
        """
        if not decision.statement:
            raise InvalidStatement("the decision has no signed statement")
        key = await self._keys.key(_key_id(decision.statement))
        claims = _claims(decision.statement, key)
        _check_times(claims, at)
        _check_content(claims, _said(decision, tenant))


class UnsignedDecisions:
    """Takes decisions on their word, for installations that say so in their settings."""

    async def verify(self, decision: Decision, *, tenant: str, at: datetime) -> None:
        """Nothing is checked, nor is a statement where there is one."""


def sign_decision(
    decision: Decision,
    *,
    tenant: str,
    key: SigningKey,
    now: datetime | None = None,
    lifetime: timedelta = _LIFETIME,
) -> Decision:
    """The decision with a signed statement of it, which may be handed in for `lifetime`.

    Raises:
        InvalidRequest: the lifetime is shorter than a second, or longer than 24 hours.
    """
    if not timedelta(seconds=1) <= lifetime <= _LONGEST_LIFETIME:
        raise InvalidRequest(
            f"a statement is good for between 1 second and 24 hours, not {lifetime}"
        )
    signed_at = int((now or datetime.now(UTC)).timestamp())
    claims = _Claims(
        **dict(_said(decision, tenant)),
        iss=_ISSUER,
        aud=AUDIENCE,
        iat=signed_at,
        exp=signed_at + int(lifetime.total_seconds()),
    )
    payload = claims.model_dump_json(exclude={"nbf"}).encode()
    headers = {"kid": key.kid, "typ": TYPE}
    statement = _JWS.encode(payload, key.key, algorithm=key.algorithm, headers=headers)
    return decision.model_copy(update={"statement": statement})


class _Said(Frozen):
    """What a statement says, and what a decision says; these have to be equal."""

    model_config = ConfigDict(strict=True)

    sub: str
    team: str | None = None
    roles: Annotated[tuple[str, ...], AfterValidator(lambda roles: tuple(sorted(set(roles))))]
    tenant: str
    approval: str
    digest: str
    decision: str
    jti: str
    content: str


class _Claims(_Said):
    """All claims of a statement that are looked at, and who signed it."""

    iss: str | None = None
    aud: str | tuple[str, ...]
    iat: Seconds
    nbf: Seconds | None = None
    exp: Seconds


def _said(decision: Decision, tenant: str) -> _Said:
    content = decision.model_dump(mode="json", include={"text", "actions", "to"})
    return _Said(
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


def _key_id(statement: str) -> str:
    try:
        header = jwt.get_unverified_header(statement)
    except jwt.PyJWTError as error:
        raise InvalidStatement(f"the statement cannot be read: {error}") from None
    if header.get("typ") != TYPE:
        raise InvalidStatement(
            f"the statement's type is {shortened(header.get('typ'))}, and not {TYPE!r}"
        )
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise InvalidStatement('the statement\'s header names no key: "kid" is missing')
    return kid


def _claims(statement: str, key: UsableKey) -> _Claims:
    """What the statement says, once the key has shown that it is genuine."""
    try:
        payload: bytes = _JWS.decode(statement, key.key, algorithms=[key.algorithm])
    except jwt.InvalidAlgorithmError:
        raise InvalidStatement(
            f"the statement is not signed with {key.algorithm}, which its key {key.kid!r} is for"
        ) from None
    except jwt.PyJWTError as error:
        raise InvalidStatement(f"the statement is not genuine: {error}") from None
    try:
        return _Claims.model_validate_json(payload)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_context=False, include_url=False)
        listed = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)
        raise InvalidStatement(f"the statement's claims cannot be used: {listed[:500]}") from None


def _check_times(claims: _Claims, at: datetime) -> None:
    now = at.timestamp()
    if claims.exp - claims.iat > _LONGEST_LIFETIME.total_seconds():
        raise InvalidStatement(
            "the statement is good for more than 24 hours; have it signed for less"
        )
    if now >= claims.exp:
        raise InvalidStatement(
            f"the statement expired at {_time(claims.exp)}; have it signed again"
        )
    starts = max(claims.iat, claims.nbf or 0)
    if now < starts - _LEEWAY_SECONDS:
        raise InvalidStatement(f"the statement is good from {_time(starts)} on, which is not yet")


def _time(seconds: Seconds) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _check_content(claims: _Claims, said: _Said) -> None:
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    if AUDIENCE not in audiences:
        raise InvalidStatement(
            f"the statement is for {shortened(claims.aud)}, and not for {AUDIENCE!r}"
        )
    for name, value in said:
        stated = getattr(claims, name)
        if stated != value:
            raise InvalidStatement(
                f"the statement's {name} is {shortened(stated)}, and that of the decision "
                f"{shortened(value)}"
            )
