"""JSON Web Keys (RFC 7517) and the one algorithm that each is for, which its own type decides.

Taken are Ed25519 (`EdDSA`, RFC 8037), P-256 (`ES256`) and RSA of at least 2,048 bits (`RS256`).
"""

import json
from dataclasses import dataclass
from typing import Literal, Self, TypeVar

import jwt
from pydantic import JsonValue, ValidationError, field_validator

from holdfast.domain.failures import in_words
from holdfast.domain.ids import json_digest
from holdfast.domain.model import Frozen
from holdfast.domain.text import line
from holdfast.security.bounds import KeyBounds

Algorithm = Literal["EdDSA", "ES256", "RS256"]

_ALGORITHMS: dict[tuple[str, str | None], Algorithm] = {
    ("OKP", "Ed25519"): "EdDSA",
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
}


class JsonWebKey(Frozen):
    """A key as it is written. Its other members, certificates for instance, are left out."""

    holdfast: KeyBounds | None = None

    kty: str
    kid: str | None = None
    alg: str | None = None
    use: str | None = None
    key_ops: tuple[str, ...] | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None
    n: str | None = None
    e: str | None = None
    d: str | None = None
    p: str | None = None
    q: str | None = None
    dp: str | None = None
    dq: str | None = None
    qi: str | None = None
    oth: JsonValue = None
    k: str | None = None

    @property
    def is_secret(self) -> bool:
        """Whether it holds a private or a shared key, or a part of one."""
        secrets = (self.d, self.p, self.q, self.dp, self.dq, self.qi, self.oth, self.k)
        return any(secret is not None for secret in secrets)

    @property
    def algorithm(self) -> Algorithm | None:
        """What it is for; None where nothing here uses such keys."""
        algorithm = _ALGORITHMS.get((self.kty, self.crv))
        return algorithm if self.alg in (None, algorithm) else None

    def checks_signatures(self) -> bool:
        """Whether it is meant for checking signatures, by an algorithm that is used here."""
        meant = self.use in (None, "sig") and (self.key_ops is None or "verify" in self.key_ops)
        return meant and self.algorithm is not None

    def described(self) -> str:
        """The key in a message, without its material."""
        kind = " ".join(part for part in (self.kty, self.crv, self.alg, self.use) if part)
        return f"{self.kid!r} ({line(kind)})"


class JsonWebKeySet(Frozen):
    """A JWKS. Its entries are read one by one: one that cannot be used is no reason to do without the
    others (RFC 7517, 5)."""

    keys: tuple[object, ...]

    @field_validator("keys", mode="before")
    @classmethod
    def _written(cls, keys: object) -> object:
        if not isinstance(keys, list | tuple):
            return keys
        return [
            one.model_dump(mode="json", exclude_none=True) if isinstance(one, JsonWebKey) else one
            for one in keys
        ]

    @classmethod
    def of(cls, *keys: JsonWebKey) -> Self:
        """The set of these keys."""
        return cls.model_validate({"keys": keys})


@dataclass(frozen=True, kw_only=True)
class UsableKey:
    """A key whose material was read, with its id and the one algorithm that it is for."""

    kid: str
    algorithm: Algorithm
    key: jwt.PyJWK
    digest: str
    """Of its public part, to see whether it is another one."""
    bounds: KeyBounds


def usable_key(jwk: JsonWebKey) -> UsableKey:
    """The key, ready for use.

    Raises:
        ValueError: it is not; the message says why.
    """
    if not jwk.kid:
        raise ValueError(f'a key has no "kid": {jwk.described()}')
    if jwk.algorithm is None:
        raise ValueError(
            f"key {jwk.described()} is not for EdDSA (OKP Ed25519), ES256 (EC P-256) or RS256 (RSA)"
        )
    try:
        key = jwt.PyJWK.from_dict(
            jwk.model_dump(mode="json", exclude_none=True, exclude={"holdfast"}),
            algorithm=jwk.algorithm,
        )
    except jwt.PyJWTError as error:
        raise ValueError(f"key {jwk.described()} is broken: {error}") from None
    if too_short := key.Algorithm.check_key_length(key.key):
        raise ValueError(f"key {jwk.described()} is too weak: {too_short}")
    public = jwk.model_dump(mode="json", include={"kty", "crv", "x", "y", "n", "e"})
    return UsableKey(
        kid=jwk.kid,
        algorithm=jwk.algorithm,
        key=key,
        digest=json_digest(public),
        bounds=jwk.holdfast or KeyBounds(),
    )


_Parsed = TypeVar("_Parsed", JsonWebKey, JsonWebKeySet)


def parse(kind: type[_Parsed], content: bytes) -> _Parsed:
    """A key or a set of keys from its JSON.

    Raises:
        ValueError: it is none; the message names the place, and never what stands there.
    """
    try:
        return kind.model_validate(json.loads(content, parse_int=_number))
    except RecursionError:
        raise ValueError(f"it is not a {kind.__name__}: it is too deep") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not a {kind.__name__}: it is not JSON, {error}") from None
    except ValidationError as error:
        raise ValueError(f"it is not a {kind.__name__}: {in_words(error)}") from None


def _number(digits: str) -> float:
    """A number of a key set. None of a key's members is one; but what is too large for Python's `int`
    may be in an entry that is passed over."""
    return float(digits)


def entry_of_set(entry: object) -> JsonWebKey:
    """A key out of a set.

    Raises:
        ValueError: it is none; the message never says what stands there.
    """
    try:
        return JsonWebKey.model_validate(entry)
    except ValidationError as error:
        raise ValueError(in_words(error)) from None
