"""A decision to sign, and keys of all kinds."""

import json
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from holdfast.domain.decision import Decision
from holdfast.security.jwk import JsonWebKey
from holdfast.security.signing_key import SigningKey

DIGEST = "4f" * 32


def decision(**changes: Any) -> Decision:
    """An acceptance by ann, of team north, with two roles."""
    fields = {
        "id": "d1",
        "approval": "apr_1",
        "kind": "accept",
        "reviewer": "ann",
        "team": "north",
        "roles": ("lead", "finance"),
        "digest": DIGEST,
    }
    return Decision.model_validate({**fields, **changes})


def jwks(keys: Iterable[SigningKey], *more: Any) -> str:
    """A JWKS of the public parts, and of whatever else belongs into it."""
    public = [key.public_jwk().model_dump(mode="json", exclude_none=True) for key in keys]
    return json.dumps({"keys": [*public, *more]})


def elliptic(kid: str, curve: ec.EllipticCurve | None = None) -> dict[str, Any]:
    """A private JWK of an elliptic curve, P-256 unless another is named."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": kid}


def rsa_key(kid: str, bits: int = 2048) -> dict[str, Any]:
    """A private RSA JWK."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    return {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": kid}


def public_part(jwk: dict[str, Any]) -> dict[str, Any]:
    """The JWK without what is private."""
    return {name: jwk[name] for name in ("kty", "kid", "crv", "x", "y", "n", "e") if name in jwk}


def signing(jwk: dict[str, Any]) -> SigningKey:
    """A key to sign with, from a private JWK."""
    return SigningKey(JsonWebKey.model_validate(jwk))
