"""The key and the JWKS that most tests of signed statements use."""

from pathlib import Path

import pytest

from holdfast.security.signing_key import SigningKey
from tests.security.examples import jwks


@pytest.fixture
def key() -> SigningKey:
    """The key whose public part is in `jwks_file`."""
    return SigningKey.generate("k1")


@pytest.fixture
def jwks_file(tmp_path: Path, key: SigningKey) -> Path:
    """A JWKS with one key."""
    path = tmp_path / "reviewer-keys.json"
    path.write_text(jwks([key]))
    return path
