"""The tokens (JWTs, RFC 7519) that statements are: signed, read with the key that they name, timed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from reprlib import repr as shortened
from typing import Annotated, Any, TypeVar

import jwt
from jwt.utils import base64url_decode, base64url_encode
from pydantic import ConfigDict, Field, ValidationError

from holdfast.domain.errors import InvalidRequest, InvalidStatement
from holdfast.domain.failures import in_words
from holdfast.domain.model import Frozen
from holdfast.security.bounds import KeyBounds
from holdfast.security.jwk import UsableKey
from holdfast.security.signing_key import SigningKey

LIFETIME = timedelta(minutes=10)
"""How long a statement that is signed here may be handed in, unless somebody says otherwise."""

_LONGEST_LIFETIME = timedelta(hours=24)
_LEEWAY_SECONDS = 60
_JWS = jwt.PyJWS()
_ISSUER = "holdfast"

Seconds = Annotated[int | float, Field(ge=0, le=253_402_300_799)]
"""Since 1970; the last one is that of the year 9999."""


class Claims(Frozen):
    """What every statement says besides its own matter: who signed it, for what, and when."""

    model_config = ConfigDict(strict=True)

    iss: str | None = None
    aud: str | tuple[str, ...]
    iat: Seconds
    nbf: Seconds | None = None
    exp: Seconds


ClaimsT = TypeVar("ClaimsT", bound=Claims)


def times_of(lifetime: timedelta, now: datetime | None, key: SigningKey) -> dict[str, Any]:
    """The claims that say who signs, when, and until when the statement is good.

    Raises:
        InvalidRequest: the lifetime is shorter than a second, or longer than 24 hours.
    """
    if not timedelta(seconds=1) <= lifetime <= _LONGEST_LIFETIME:
        raise InvalidRequest(
            f"a statement is good for between 1 second and 24 hours, not {lifetime}"
        )
    signed_at = int((now or datetime.now(UTC)).timestamp())
    issuer = key.bounds.issuer or _ISSUER
    return {"iss": issuer, "iat": signed_at, "exp": signed_at + int(lifetime.total_seconds())}


def sign(claims: Claims, key: SigningKey, *, kind: str) -> str:
    """The token."""
    payload = claims.model_dump_json(exclude={"nbf"}).encode()
    headers = {"kid": key.kid, "typ": kind}
    return _JWS.encode(payload, key.key, algorithm=key.algorithm, headers=headers)


def key_id(statement: str, *, kind: str) -> str:
    """The id of the key that a statement names.

    Raises:
        InvalidStatement: it names none, is of another kind, or is not written as a JWS has to be.
    """
    _check_written(statement)
    try:
        header = jwt.get_unverified_header(statement)
    except jwt.PyJWTError as error:
        raise InvalidStatement(f"the statement cannot be read: {error}") from None
    if header.get("typ") != kind:
        raise InvalidStatement(
            f"the statement's type is {shortened(header.get('typ'))}, and not {kind!r}"
        )
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise InvalidStatement('the statement\'s header names no key: "kid" is missing')
    return kid


def claims_of(kind: type[ClaimsT], statement: str, key: UsableKey) -> ClaimsT:
    """What the statement says, once the key has shown that it is genuine.

    Raises:
        InvalidStatement: it is not, or lacks a claim.
    """
    try:
        payload: bytes = _JWS.decode(statement, key.key, algorithms=[key.algorithm])
    except jwt.InvalidAlgorithmError:
        raise InvalidStatement(
            f"the statement is not signed with {key.algorithm}, which its key {key.kid!r} is for"
        ) from None
    except jwt.PyJWTError as error:
        raise InvalidStatement(f"the statement is not genuine: {error}") from None
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        listed = in_words(error)[:500]
        raise InvalidStatement(f"the statement's claims cannot be used: {listed}") from None


def check_times(claims: Claims, at: datetime) -> None:
    """Check that the statement was good at that time; raises `InvalidStatement`."""
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


def check_audience(claims: Claims, audience: str) -> None:
    """Check whom the statement is for; raises `InvalidStatement`."""
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    if audience not in audiences:
        raise InvalidStatement(
            f"the statement is for {shortened(claims.aud)}, and not for {audience!r}"
        )


def check_equal(claims: Claims, said: Frozen, *, what: str) -> None:
    """Check that the statement says what came with it; raises `InvalidStatement`."""
    for name, value in said:
        stated = getattr(claims, name)
        if stated != value:
            raise InvalidStatement(
                f"the statement's {name} is {shortened(stated)}, and that of the {what} "
                f"{shortened(value)}"
            )


def check_bounds(
    bounds: KeyBounds, kid: str, *, tenant: str, roles: Iterable[str], issuer: str | None
) -> None:
    """Check that a key may sign this: for this tenant, with these roles, as this issuer.

    Raises:
        InvalidStatement: it may not; the message says what.
    """
    if bounds.tenants is not None and tenant not in bounds.tenants:
        raise InvalidStatement(f"the key {kid!r} does not sign for the tenant {tenant!r}")
    if bounds.issuer is not None and issuer != bounds.issuer:
        raise InvalidStatement(
            f"the key {kid!r} belongs to {bounds.issuer!r}, and the statement's issuer is "
            f"{shortened(issuer)}"
        )
    if bounds.roles is not None and (more := sorted(set(roles) - set(bounds.roles))):
        raise InvalidStatement(
            f"the key {kid!r} does not give the roles {', '.join(map(shortened, more))}"
        )


def _check_written(statement: str) -> None:
    """Check that the statement is written in the one way that RFC 7515 has for it: decoders pass over
    padding, line breaks, characters that aren't of the alphabet, and bits behind the last byte.

    Raises:
        InvalidStatement: it is not.
    """
    for part in statement.split("."):
        try:
            canonical = base64url_encode(base64url_decode(part)).decode()
        except ValueError:
            canonical = None
        if part != canonical:
            raise InvalidStatement(
                "the statement cannot be read: its parts are not base64url without padding"
            )


def _time(seconds: Seconds) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
