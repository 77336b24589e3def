"""Signed statements: that this reviewer, with these roles, decides this, about what they saw.

A statement is a JSON Web Token (RFC 7519) with the type `holdfast-decision+jwt`, whose header names
the key (`kid`). An identity service may sign statements by itself. Its claims:

    iss       who signed it; free
    aud       "holdfast-decision"
    sub       the reviewer
    team      the reviewer's team, or null
    roles     the reviewer's roles, a list
    tenant, approval, digest, decision (its kind)
              what is decided: `digest` is the `args_digest` that the reviewer saw
    jti       the decision's id
    content   SHA-256, 64 hex digits, of the canonical JSON (sorted keys, no spaces, not escaped to
              ASCII) of {"actions": […], "text": …, "to": …} as in the decision
    iat, exp  when it was signed, and until when it may be handed in: 24 hours later at most
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import jwt

from holdfast.authority.keys import SigningKey, VerificationKeys
from holdfast.domain.approval import Decision
from holdfast.domain.errors import InvalidStatement
from holdfast.domain.ids import json_digest

AUDIENCE = "holdfast-decision"
TYPE = "holdfast-decision+jwt"

_ISSUER = "holdfast"
_LIFETIME = timedelta(minutes=10)
_LONGEST_LIFETIME = timedelta(hours=24)
_LEEWAY = timedelta(seconds=60)
_REQUIRED = ("aud", "sub", "roles", "tenant", "approval", "digest", "decision", "jti", "content")


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

        `at` is when the decision came in, so that it can be checked again whenever it matters.

        Raises:
            InvalidStatement: the message says what is wrong.
        """
        if not decision.statement:
            raise InvalidStatement("the decision has no signed statement")
        try:
            header = jwt.get_unverified_header(decision.statement)
        except jwt.PyJWTError as error:
            raise InvalidStatement(f"the statement cannot be read: {error}") from None
        if header.get("typ") != TYPE:
            raise InvalidStatement(f"the statement's type is {header.get('typ')!r}, not {TYPE}")
        key = await self._keys.key(str(header.get("kid")))
        try:
            claims = jwt.decode(
                decision.statement,
                key.key,
                algorithms=[key.algorithm],
                audience=AUDIENCE,
                options={
                    "require": ["iat", "exp", *_REQUIRED],
                    # Looked at below, for the time at which the decision came in.
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWTError as error:
            raise InvalidStatement(f"the statement does not hold: {error}") from None
        _check_times(claims, at)
        _check_content(claims, decision, tenant)


class UnsignedDecisions:
    """Takes decisions on their word, for installations that say so in their settings."""

    async def verify(self, decision: Decision, *, tenant: str, at: datetime) -> None:
        """Nothing is checked."""


def sign_decision(
    decision: Decision,
    *,
    tenant: str,
    key: SigningKey,
    now: datetime | None = None,
    lifetime: timedelta = _LIFETIME,
) -> Decision:
    """The decision with a signed statement of it, which may be handed in for `lifetime`."""
    signed_at = now or datetime.now(UTC)
    claims = {
        **_said(decision, tenant),
        "iss": _ISSUER,
        "aud": AUDIENCE,
        "iat": int(signed_at.timestamp()),
        "exp": int((signed_at + lifetime).timestamp()),
    }
    headers = {"kid": key.kid, "typ": TYPE}
    statement = jwt.encode(claims, key.key, algorithm=key.algorithm, headers=headers)
    return decision.model_copy(update={"statement": statement})


def _said(decision: Decision, tenant: str) -> dict[str, Any]:
    content = decision.model_dump(mode="json", include={"text", "actions", "to"})
    return {
        "sub": decision.reviewer,
        "team": decision.team,
        "roles": sorted(decision.roles),
        "tenant": tenant,
        "approval": decision.approval,
        "digest": decision.digest,
        "decision": decision.kind,
        "jti": decision.id,
        "content": json_digest(content),
    }


def _check_times(claims: Mapping[str, Any], at: datetime) -> None:
    try:
        signed = datetime.fromtimestamp(claims["iat"], UTC)
        expires = datetime.fromtimestamp(claims["exp"], UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise InvalidStatement("the statement's times cannot be read") from None
    if expires - signed > _LONGEST_LIFETIME:
        raise InvalidStatement("the statement is good for more than 24 hours")
    if at >= expires:
        raise InvalidStatement(f"the statement expired at {expires:%Y-%m-%d %H:%M:%S} UTC")
    if at < signed - _LEEWAY:
        raise InvalidStatement(f"the statement is from the future: {signed:%Y-%m-%d %H:%M:%S} UTC")


def _check_content(claims: Mapping[str, Any], decision: Decision, tenant: str) -> None:
    said = _said(decision, tenant)
    roles = claims["roles"]
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise InvalidStatement("the statement's roles are not a list of names")
    signed = {**{name: claims.get(name) for name in said}, "roles": sorted(set(roles))}
    said["roles"] = sorted(set(decision.roles))
    for name, value in said.items():
        if signed[name] != value:
            raise InvalidStatement(f"the statement's {name} is not that of the decision")
