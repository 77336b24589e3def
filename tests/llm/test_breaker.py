"""The circuit breaker, by a clock of the test's."""

from holdfast.llm.breaker import Breaker, BreakerSettings
from tests.llm.conftest import Clock

SETTINGS = BreakerSettings(failures=2, cooldown_seconds=10, longest_cooldown_seconds=60)


def state(breaker: Breaker) -> str:
    return breaker.state


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(SETTINGS, clock)
    breaker.failed()
    breaker.failed()
    return breaker


def test_only_failures_in_a_row_open_the_circuit(clock: Clock) -> None:
    breaker = Breaker(SETTINGS, clock)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert state(breaker) == "closed"
    breaker.failed()
    assert state(breaker) == "open"
    assert not breaker.admit()


def test_after_the_cool_down_one_probe_is_admitted(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 10
    assert state(breaker) == "half_open"
    assert [breaker.admit(), breaker.admit()] == [True, False]


def test_a_probe_that_succeeds_closes_the_circuit_and_one_that_fails_opens_it(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 10
    assert breaker.admit()
    breaker.failed()
    assert state(breaker) == "open"
    clock.now += 10
    assert breaker.admit()
    breaker.succeeded()
    assert state(breaker) == "closed"
    breaker.failed()
    assert state(breaker) == "closed"


def test_an_abandoned_probe_leaves_room_for_the_next(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 10
    assert breaker.admit()
    breaker.abandoned()
    assert breaker.admit()


def test_retry_after_opens_at_once_and_for_no_longer_than_the_setting(clock: Clock) -> None:
    breaker = Breaker(SETTINGS, clock)
    breaker.failed(retry_after=30)
    clock.now += 29
    assert state(breaker) == "open"
    clock.now += 1
    assert state(breaker) == "half_open"
    breaker.failed(retry_after=3_600)
    clock.now += 60
    assert state(breaker) == "half_open"


def test_a_late_failure_does_not_shorten_the_pause(clock: Clock) -> None:
    breaker = Breaker(SETTINGS, clock)
    breaker.failed(retry_after=50)
    breaker.failed(retry_after=1)
    clock.now += 49
    assert state(breaker) == "open"
