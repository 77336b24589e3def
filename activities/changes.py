"""Notes in the audit log when the reviewers' keys or the policies have become others."""

import asyncio
import logging

from holdfast.activities.resources import Resources
from holdfast.security.statements import StatementVerifier
from holdfast.store.changes import note_change
from holdfast.store.pool import TRANSIENT_ERRORS

_logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0


async def keep_noting_changes(resources: Resources, *, every: float = LOOK_SECONDS) -> None:
    """Look every few seconds whether keys and policies are those that were noted, forever."""
    noted: dict[tuple[str, str], dict[str, str]] = {}
    while True:
        for (kind, subject), now in (await _what_decides(resources)).items():
            if noted.get((kind, subject)) == now:
                continue
            try:
                async with resources.pool.acquire() as connection:
                    await note_change(connection, kind=kind, subject=subject, now=now)
                noted[kind, subject] = now
            except TRANSIENT_ERRORS as error:
                _logger.warning("a change is noted later: %s", type(error).__name__)
        await asyncio.sleep(every)


async def _what_decides(resources: Resources) -> dict[tuple[str, str], dict[str, str]]:
    """Digests of the keys and of the policies as they are in force here, by what they are."""
    found = {
        ("policies_changed", source): policies
        for source, policies in resources.registry.policies.fingerprints().items()
    }
    if isinstance(resources.verifier, StatementVerifier):
        keys = resources.verifier.keys
        await keys.refresh()
        found["keys_changed", keys.source] = keys.fingerprint()
    return found
