"""The key pair of a development installation, which is made where there is none."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from holdfast.domain.errors import ConfigurationError
from holdfast.security.jwk import JsonWebKey, JsonWebKeySet
from holdfast.security.signing_key import SigningKey


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
    """Make a key pair unless it is there; the private one only its owner can read.

    Raises:
        ConfigurationError: the private key is lost or broken.
    """
    keys = DevelopmentKeys.below(data_dir)
    if keys.exist():
        return keys
    # The public one is made last, also by another process at this moment.
    if keys.public.exists() and not keys.signing.exists():
        raise ConfigurationError(
            f"{keys.signing} is gone, and {keys.public} would not fit another key: remove that, too, "
            "and new ones are made"
        )
    keys.signing.parent.mkdir(parents=True, exist_ok=True)
    pair = SigningKey.generate(f"development-{uuid4().hex[:8]}")
    _write_once(keys.signing, pair.private_jwk(), mode=0o600)
    # Of the key that lies there now, which another process may have made first.
    public = SigningKey.read(keys.signing).public_jwk()
    _write_once(keys.public, JsonWebKeySet.of(public), mode=0o644)
    return keys


def _write_once(path: Path, value: JsonWebKey | JsonWebKeySet, *, mode: int) -> None:
    """Write a file that appears whole, or leave the one that is there."""
    draft = path.with_name(f"{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value.model_dump_json(exclude_none=True, indent=1))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
