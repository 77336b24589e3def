"""The public keys that reviewers' statements are checked with, from a file or a URL.

Keys are JSON Web Keys (see `holdfast.security.jwk`). A key's own type says which algorithm it is
for, never the statement.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Self

from holdfast.domain.errors import ConfigurationError, InvalidStatement
from holdfast.domain.ids import json_digest
from holdfast.security.bounds import KeyBounds
from holdfast.security.jwk import JsonWebKeySet, UsableKey, entry_of_set, parse, usable_key

_logger = logging.getLogger(__name__)

_FETCH_SECONDS = 5.0
_UNUSABLE = (OSError, ValueError)


class VerificationKeys:
    """The public keys of a JWKS file or URL. A key that is new there is found without a restart, and
    one that was taken out counts no more, also not for decisions of the past.

    A file is read again when it has changed; a URL is fetched again after `fresh_for`, and at once
    for a key that is not known, though not more often than every `refetch_after`. What cannot be
    read or fetched leaves the keys as they were, until they are `max_age` old: then nobody knows any
    more which of them were taken out, and none counts. An empty set takes all out. Entries that cannot
    be used, and those for other purposes, are passed over. Somebody who can change the answer can decide:
    use https, or http within a machine.

    `bounds` says what keys may sign, by their id or, with `*`, all of them; the set may say so, too,
    and then both count.
    """

    def __init__(
        self,
        source: str,
        *,
        fresh_for: timedelta,
        refetch_after: timedelta,
        max_age: timedelta,
        bounds: Mapping[str, KeyBounds],
    ) -> None:
        self._source = source
        self._file = None if source.startswith(("https://", "http://")) else Path(source)
        self._fresh_seconds = fresh_for.total_seconds()
        self._refetch_seconds = refetch_after.total_seconds()
        self._max_age_seconds = max_age.total_seconds()
        self._bounds = bounds
        self._seen = 0.0
        self._trouble: str | None = None
        self._passed_over = ""
        self._keys: dict[str, UsableKey] = {}
        self._content: bytes | None = None
        self._stamp: object = None
        self._looked = 0.0
        self._looking = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        source: str,
        *,
        fresh_for: timedelta = timedelta(minutes=5),
        refetch_after: timedelta = timedelta(seconds=10),
        max_age: timedelta = timedelta(hours=24),
        bounds: Mapping[str, KeyBounds] = MappingProxyType({}),
    ) -> Self:
        """The keys at `source`, a path or an http(s) URL.

        Raises:
            ConfigurationError: they cannot be read, or are not a set of public keys.
        """
        keys = cls(
            source,
            fresh_for=fresh_for,
            refetch_after=refetch_after,
            max_age=max_age,
            bounds=bounds,
        )
        try:
            await keys._look()
        except _UNUSABLE as error:
            raise ConfigurationError(
                f"the reviewers' keys at {source} cannot be used: {_words(error)}"
            ) from None
        if keys._passed_over and not keys._keys:
            raise ConfigurationError(
                f"the reviewers' keys at {source} cannot be used: there is no key that can be used "
                f"({keys._passed_over})"
            )
        return keys

    @property
    def source(self) -> str:
        """Where they are."""
        return self._source

    def fingerprint(self) -> dict[str, str]:
        """A digest of each key that counts, with what it is bound to, by its id."""
        return {
            kid: json_digest([one.digest, one.bounds.model_dump(mode="json")])
            for kid, one in self._keys.items()
        }

    async def refresh(self) -> None:
        """Look whether they have changed, where that is due."""
        async with self._looking:
            await self._look_again(None)

    async def bounds(self) -> list[KeyBounds]:
        """What each of the keys may sign; none where they are too old to count."""
        await self.refresh()
        return [] if self._is_too_old() else [one.bounds for one in self._keys.values()]

    async def key(self, kid: str) -> UsableKey:
        """The key of this id.

        Raises:
            InvalidStatement: there is none.
        """
        # Known keys do not wait for the fetch that somebody else's unknown one has caused.
        if self._file is not None or self._due(kid) or kid not in self._keys:
            async with self._looking:
                await self._look_again(kid)
        if self._is_too_old():
            raise InvalidStatement(
                "the reviewers' keys could not be looked at for too long, so that nobody knows which of "
                "them still count"
            )
        if kid not in self._keys:
            raise InvalidStatement(
                f"the statement is signed with the key {kid[:80]!r}, which is not among the "
                "reviewers' keys"
            )
        return self._keys[kid]

    def _due(self, kid: str | None) -> bool:
        age = time.monotonic() - self._looked
        known = kid is None or kid in self._keys
        return age >= (self._fresh_seconds if known else self._refetch_seconds)

    def _is_too_old(self) -> bool:
        return time.monotonic() - self._seen >= self._max_age_seconds

    async def _look_again(self, kid: str | None) -> None:
        try:
            if self._file is None:
                if self._due(kid):
                    await self._look()
            elif await asyncio.to_thread(_stamp, self._file) != self._stamp:
                await self._look()
            elif self._trouble is None:
                self._seen = time.monotonic()
        except _UNUSABLE as error:
            self._trouble = _words(error)
            _logger.warning(
                "the reviewers' keys stay as they were; %s: %s", self._source, self._trouble
            )

    async def _look(self) -> None:
        self._looked = time.monotonic()
        if self._file is None:
            content = await _fetch(self._source)
        else:
            # Before it is read: what is written meanwhile is noticed the next time.
            self._stamp = await asyncio.to_thread(_stamp, self._file)
            content = await asyncio.to_thread(self._file.read_bytes)
        if content != self._content:
            self._keys, self._passed_over = _public_keys(content, self._bounds)
            self._content = content
            if self._passed_over:
                _logger.warning(
                    "reviewers' keys at %s are passed over: %s", self._source, self._passed_over
                )
            if not self._keys:
                _logger.warning("no reviewers' key at %s counts: nobody can decide", self._source)
        self._seen, self._trouble = time.monotonic(), None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _stamp(path: Path) -> object:
    """What changes when a file does; None for a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


async def _fetch(url: str) -> bytes:
    import httpx2  # clients sign, and fetch nothing

    try:
        # The client's timeouts are for each read; a trickling answer would outlast them.
        async with (
            asyncio.timeout(_FETCH_SECONDS),
            httpx2.AsyncClient(timeout=_FETCH_SECONDS) as client,
        ):
            answer = await client.get(url)
        return answer.raise_for_status().content
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OSError(_words(error)) from error


def _public_keys(
    content: bytes, bounds: Mapping[str, KeyBounds]
) -> tuple[dict[str, UsableKey], str]:
    """The keys of a set that can be used, and which cannot and why: without the values, since one of
    them may be secret."""
    keys: dict[str, UsableKey] = {}
    passed_over: list[str] = []
    for number, entry in enumerate(parse(JsonWebKeySet, content).keys):
        try:
            key = _public_key(entry, bounds)
            if key.kid in keys:
                raise ValueError(f"there are two keys {key.kid!r}")
        except ValueError as error:
            passed_over.append(f"entry {number}: {error}")
        else:
            keys[key.kid] = key
    return keys, "; ".join(passed_over)


def _public_key(entry: object, bounds: Mapping[str, KeyBounds]) -> UsableKey:
    jwk = entry_of_set(entry)
    if jwk.is_secret:
        raise ValueError("it is a private or a shared key; only public keys belong there")
    if not jwk.checks_signatures():
        raise ValueError(f"{jwk.described()} is not for EdDSA, ES256 or RS256 signatures")
    key = usable_key(jwk)
    for said in (bounds.get("*"), bounds.get(key.kid)):
        if said is not None:
            key = replace(key, bounds=key.bounds.within(said))
    return key
