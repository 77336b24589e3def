"""The circuit breaker of a provider: after repeated failures it is left alone for a while.

closed ──failures in a row, or a Retry-After──▶ open ──cool-down over──▶ half open: one probe
   ▲                                             ▲                           │
   └───────────────────success───────────────────┼────────failure────────────┘

A rate limit is no failure: the provider works; callers that were told to wait do so, and others may ask.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from holdfast.domain.model import Strict

BreakerState = Literal["closed", "open", "half_open"]


class BreakerSettings(Strict):
    """When a provider is left alone, and for how long.

    Args:
        failures: failures in a row that open the circuit.
        cooldown_seconds: how long it stays open where the provider did not say (Retry-After).
        longest_cooldown_seconds: the most that a provider's Retry-After may ask for.
    """

    failures: Annotated[int, Field(ge=1)] = 3
    cooldown_seconds: Annotated[float, Field(gt=0)] = 15.0
    longest_cooldown_seconds: Annotated[float, Field(gt=0)] = 300.0


class Breaker:
    """Whether a provider may be asked. Every call that was admitted ends in exactly one of
    `succeeded`, `failed` and `abandoned`.

    `clock` gives seconds that never go back.
    """

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    def admit(self) -> bool:
        """Whether a call may be made now. A half-open circuit admits one at a time."""
        match self.state:
            case "closed":
                return True
            case "open":
                return False
            case "half_open":
                admitted = not self._probing
                self._probing = True
                return admitted

    @property
    def remaining(self) -> float:
        """Seconds until a call may be admitted; 0 where one may be now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def succeeded(self) -> None:
        """The provider answered, be it with a rate limit."""
        self._failures = 0
        self._open_until = None
        self._probing = False

    def failed(self, retry_after: float | None = None) -> None:
        """The provider did not answer. `retry_after` is the pause it asked for, in seconds: then the
        circuit opens at once."""
        self._failures += 1
        opens = self._failures >= self._settings.failures or self._probing
        self._probing = False
        if retry_after is None and not opens:
            return
        pause = self._settings.cooldown_seconds if retry_after is None else retry_after
        until = self._clock() + min(pause, self._settings.longest_cooldown_seconds)
        self._open_until = max(until, self._open_until or until)

    def abandoned(self) -> None:
        """The caller went away before it knew: this says nothing of the provider."""
        self._probing = False
