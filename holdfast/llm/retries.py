"""A call that failed is made once more with the same provider, before the next one is asked."""

import random
from typing import Annotated, Literal

from pydantic import Field

from holdfast.domain.model import Strict

OutageKind = Literal["failed", "busy", "slow", "settings"]


class RetrySettings(Strict):
    """Pauses before the second try, in seconds.

    Args:
        pause_seconds: the longest where the provider asks for none; a random half of it is taken
            off, so that callers that failed together don't come again together.
        longest_pause_seconds: a longer Retry-After is not waited for: the next provider is asked.
    """

    pause_seconds: Annotated[float, Field(ge=0)] = 0.5
    longest_pause_seconds: Annotated[float, Field(ge=0)] = 5.0


class Outage(Exception):
    """A provider did not answer a call.

    `kind`: it `failed`, was `busy` (a rate limit), took too long (`slow`), or refuses our `settings`.
    `retry_after` is the pause that it asks for, in seconds.
    """

    def __init__(
        self, reason: str, kind: OutageKind = "failed", retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.retry_after = retry_after


def pause_before_retry(outage: Outage, settings: RetrySettings) -> float | None:
    """Seconds to wait before the same provider is asked again; None where that is no use."""
    if outage.kind in ("slow", "settings"):
        return None
    asked_for = outage.retry_after or 0.0
    if asked_for > settings.longest_pause_seconds:
        return None
    return asked_for + settings.pause_seconds * random.uniform(0.5, 1.0)
