"""The private key that signs reviewers' statements: a JSON Web Key (see `holdfast.security.jwk`)."""

from pathlib import Path
from typing import Self
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from holdfast.domain.errors import ConfigurationError
from holdfast.security.bounds import KeyBounds
from holdfast.security.jwk import Algorithm, JsonWebKey, parse, usable_key


class SigningKey:
    """A private key, with its id and its algorithm."""

    def __init__(self, jwk: JsonWebKey) -> None:
        """Raises ValueError unless it is a private key that can be used."""
        self._jwk = jwk
        self._usable = usable_key(jwk)
        if jwk.d is None:
            raise ValueError("it has no private part")

    @classmethod
    def generate(cls, kid: str | None = None) -> Self:
        """A new Ed25519 key."""
        described = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
        kid = kid or f"key-{uuid4().hex[:12]}"
        more = {"kid": kid, "alg": "EdDSA", "use": "sig"}
        return cls(JsonWebKey.model_validate({**described, **more}))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The key in a file that holds a private JWK.

        Raises:
            ConfigurationError: it cannot be used; the message says why.
        """
        try:
            return cls(parse(JsonWebKey, path.read_bytes()))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the signing key {path} cannot be used: {error}") from None

    @property
    def kid(self) -> str:
        """Its id."""
        return self._usable.kid

    @property
    def algorithm(self) -> Algorithm:
        """What it signs with."""
        return self._usable.algorithm

    @property
    def key(self) -> jwt.PyJWK:
        """The key itself."""
        return self._usable.key

    @property
    def bounds(self) -> KeyBounds:
        """What it may sign."""
        return self._usable.bounds

    def private_jwk(self) -> JsonWebKey:
        """The whole key, to be kept secret."""
        return self._jwk

    def public_jwk(self) -> JsonWebKey:
        """The part that others check statements with."""
        public = {"kty", "kid", "crv", "x", "y", "n", "e", "holdfast"}
        more = {"alg": self.algorithm, "use": "sig"}
        return JsonWebKey.model_validate({**self._jwk.model_dump(include=public), **more})
