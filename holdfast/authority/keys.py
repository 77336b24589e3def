"""Keys: the one that signs reviewers' statements, and the public ones that these are checked with.

Keys are JSON Web Keys (RFC 7517). Statements are signed with Ed25519 (RFC 8037) by default; keys for
ES256 and RS256 are taken, too. A key's own type says which algorithm it is for, never the statement.
"""

import asyncio
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from holdfast.domain.errors import ConfigurationError, InvalidStatement

_logger = logging.getLogger(__name__)

_ALGORITHMS = {"OKP": "EdDSA", "EC": "ES256", "RSA": "RS256"}
_PRIVATE_FIELDS = ("d", "p", "q", "dp", "dq", "qi", "k")

_FRESH_SECONDS = 300.0
"""How long keys from a URL are used before they are fetched again."""
_REFETCH_SECONDS = 10.0
"""Time between two fetches, however often an unknown key is asked for."""
_FETCH_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A private key, with its id and its algorithm."""

    kid: str
    algorithm: str
    key: Any

    @classmethod
    def generate(cls, kid: str | None = None) -> Self:
        """A new Ed25519 key."""
        return cls(
            kid=kid or f"key-{uuid4().hex[:12]}",
            algorithm="EdDSA",
            key=Ed25519PrivateKey.generate(),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """The key in a file that holds a private JWK.

        Raises:
            ConfigurationError: it cannot be used; the message says why.
        """
        try:
            parsed = json.loads(path.read_text(encoding="utf-8"))
            kid, algorithm, key = _parsed(parsed)
            if "d" not in parsed:
                raise ValueError("it has no private part")
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise ConfigurationError(f"the signing key {path} cannot be used: {error}") from None
        return cls(kid=kid, algorithm=algorithm, key=key)

    def private_jwk(self) -> dict[str, Any]:
        """The whole key, to be kept secret. Raises TypeError unless it is an Ed25519 key."""
        return self._described(self.key)

    def public_jwk(self) -> dict[str, Any]:
        """The part that others check statements with. Raises TypeError unless it is Ed25519."""
        return self._described(self.key.public_key())

    def _described(self, key: Any) -> dict[str, Any]:
        described: dict[str, Any] = OKPAlgorithm.to_jwk(key, as_dict=True)
        return {**described, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """A key to check statements with, and the one algorithm that it is for."""

    algorithm: str
    key: Any


class VerificationKeys:
    """The public keys of a JWKS file or URL. A key that is new there is found without a restart.

    A file is read again when it has changed; a URL is fetched again after five minutes, and at once
    for a key that is not known, though not more often than every ten seconds. What cannot be read
    or fetched leaves the keys as they were.
    """

    def __init__(self, source: str, keys: dict[str, PublicKey], stamp: object) -> None:
        self._source = source
        self._keys = keys
        self._stamp = stamp
        self._looked = time.monotonic()
        self._looking = asyncio.Lock()

    @classmethod
    async def open(cls, source: str) -> Self:
        """The keys at `source`, a path or an http(s) URL.

        Raises:
            ConfigurationError: they cannot be read, or are not a set of public keys.
        """
        try:
            stamp = await asyncio.to_thread(_stamp, source)
            return cls(source, await _load(source), stamp)
        except (OSError, ValueError, jwt.PyJWTError, httpx2.HTTPError) as error:
            raise ConfigurationError(
                f"the reviewers' keys at {source} cannot be used: {error or type(error).__name__}"
            ) from None

    async def key(self, kid: str) -> PublicKey:
        """The key of this id.

        Raises:
            InvalidStatement: there is none.
        """
        async with self._looking:
            await self._look_again(unknown=kid not in self._keys)
        if kid not in self._keys:
            raise InvalidStatement(f"the statement is signed with the unknown key {kid!r}")
        return self._keys[kid]

    async def _look_again(self, *, unknown: bool) -> None:
        age = time.monotonic() - self._looked
        try:
            stamp = await asyncio.to_thread(_stamp, self._source)
            if stamp is None:
                if age < (_REFETCH_SECONDS if unknown else _FRESH_SECONDS):
                    return
            elif stamp == self._stamp:
                return
            self._looked, self._stamp = time.monotonic(), stamp
            self._keys = await _load(self._source)
        except (OSError, ValueError, jwt.PyJWTError, httpx2.HTTPError) as error:
            _logger.warning(
                "the reviewers' keys stay as they were; %s: %s",
                self._source,
                error or type(error).__name__,
            )


@dataclass(frozen=True, kw_only=True)
class DevelopmentKeys:
    """Where the keys of a development installation lie."""

    signing: Path
    public: Path

    @classmethod
    def below(cls, data_dir: Path) -> Self:
        """Those of the installation whose data is there."""
        folder = data_dir.resolve() / "keys"
        return cls(signing=folder / "signing-key.json", public=folder / "reviewer-keys.json")

    def exist(self) -> bool:
        """Whether they were made."""
        return self.signing.exists() and self.public.exists()


def write_development_keys(data_dir: Path) -> DevelopmentKeys:
    """Make a key pair unless it is there; the private one only its owner can read."""
    keys = DevelopmentKeys.below(data_dir)
    if not keys.exist():
        keys.signing.parent.mkdir(parents=True, exist_ok=True)
        pair = SigningKey.generate("development")
        _write(keys.signing, pair.private_jwk(), mode=0o600)
        _write(keys.public, {"keys": [pair.public_jwk()]}, mode=0o644)
    return keys


def _write(path: Path, value: dict[str, Any], *, mode: int) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
    draft.replace(path)


def _is_url(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def _stamp(source: str) -> object:
    """What changes when a file does; None for a URL."""
    if _is_url(source):
        return None
    found = Path(source).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


async def _load(source: str) -> dict[str, PublicKey]:
    if _is_url(source):
        async with httpx2.AsyncClient(timeout=_FETCH_TIMEOUT_SECONDS) as client:
            answer = await client.get(source)
        answer.raise_for_status()
        text = answer.text
    else:
        text = await asyncio.to_thread(Path(source).read_text, encoding="utf-8")
    return _public_keys(json.loads(text))


def _public_keys(parsed: Any) -> dict[str, PublicKey]:
    if not isinstance(parsed, dict) or not isinstance(parsed.get("keys"), list):
        raise ValueError('it is not a JWKS: {"keys": […]}')
    keys: dict[str, PublicKey] = {}
    for one in parsed["keys"]:
        if isinstance(one, dict) and any(field in one for field in _PRIVATE_FIELDS):
            raise ValueError("it holds a private or a shared key; only public keys belong there")
        kid, algorithm, key = _parsed(one)
        if kid in keys:
            raise ValueError(f"it has two keys {kid!r}")
        keys[kid] = PublicKey(algorithm=algorithm, key=key)
    if not keys:
        raise ValueError("it has no keys")
    return keys


def _parsed(jwk: Any) -> tuple[str, str, Any]:
    """Id, algorithm and key of a JWK; its type alone decides the algorithm."""
    if not isinstance(jwk, dict):
        raise ValueError("a key is not a JSON object")
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise ValueError('a key has no "kid"')
    algorithm = _ALGORITHMS.get(str(jwk.get("kty")))
    if algorithm is None:
        raise ValueError(f"key {kid!r} is of the type {jwk.get('kty')!r}; use OKP, EC or RSA")
    if jwk.get("alg", algorithm) != algorithm:
        raise ValueError(f"key {kid!r} is for {jwk['alg']!r}; this type is used for {algorithm}")
    return kid, algorithm, jwt.PyJWK.from_dict(jwk, algorithm=algorithm).key
