"""Working time: only hours in which people work count, whatever their clocks do."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import PrivateAttr

from holdfast.domain.errors import PolicyError
from holdfast.domain.policy import WorkingTime, load_policy

BERLIN = WorkingTime(
    zone="Europe/Berlin",
    hours={"mon-thu": ("09:00-12:00", "13:00-17:30"), "fri": ("09:00-15:00",)},
    holidays=frozenset({date(2026, 12, 25), date(2027, 1, 1)}),
)
NIGHTS = WorkingTime(zone="America/New_York", hours={"mon-sun": ("00:00-06:00", "22:00-24:00")})
ALWAYS = WorkingTime(zone="Asia/Kolkata", hours={"mon-sun": ("00:00-24:00",)})
TIMES = [BERLIN, NIGHTS, ALWAYS]

starts = st.timedeltas(timedelta(0), timedelta(days=730)).map(
    lambda passed: datetime(2026, 1, 1, tzinfo=UTC) + passed
)
durations = st.timedeltas(timedelta(microseconds=1), timedelta(days=20))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def after(time: WorkingTime, start: datetime, duration: timedelta) -> datetime:
    return time.after(start, [duration])[duration]


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-23T10:00+01:00", 1, "2026-11-23T11:00+01:00"),
        ("2026-11-23T11:30+01:00", 1, "2026-11-23T13:30+01:00"),
        ("2026-11-23T12:30+01:00", 1, "2026-11-23T14:00+01:00"),
        ("2026-11-23T17:00+01:00", 1, "2026-11-24T09:30+01:00"),
        ("2026-11-27T14:00+01:00", 2, "2026-11-30T10:00+01:00"),
        ("2026-11-28T10:00+01:00", 3, "2026-11-30T12:00+01:00"),
        ("2026-12-24T16:30+01:00", 2, "2026-12-28T10:00+01:00"),
        ("2026-11-23T08:00+01:00", 7.5, "2026-11-23T17:30+01:00"),
    ],
)
def test_only_working_hours_count(start: str, hours: float, end: str) -> None:
    assert after(BERLIN, at(start), timedelta(hours=hours)) == at(end)


def test_an_hour_that_the_clocks_skip_does_not_count_and_one_that_they_repeat_counts_twice() -> (
    None
):
    # 8 March 2026: 02:00 becomes 03:00. 1 November 2026: 02:00 becomes 01:00.
    assert after(NIGHTS, at("2026-03-08T00:00-05:00"), timedelta(hours=5)) == at(
        "2026-03-08T06:00-04:00"
    )
    assert after(NIGHTS, at("2026-11-01T00:00-04:00"), timedelta(hours=7)) == at(
        "2026-11-01T06:00-05:00"
    )


@given(time=st.sampled_from(TIMES), start=starts, first=durations, second=durations)
def test_time_adds_up(
    time: WorkingTime, start: datetime, first: timedelta, second: timedelta
) -> None:
    end = after(time, start, first + second)
    assert after(time, after(time, start, first), second) == end
    assert end - start >= first + second


@given(time=st.sampled_from(TIMES), start=starts, later=durations, duration=durations)
def test_who_starts_later_ends_no_earlier(
    time: WorkingTime, start: datetime, later: timedelta, duration: timedelta
) -> None:
    assert after(time, start, duration) <= after(time, start + later, duration)


@given(
    zone=st.sampled_from(["Europe/Berlin", "Africa/Casablanca", "Australia/Lord_Howe"]),
    start=starts,
    holidays=st.frozensets(st.dates(date(2026, 1, 1), date(2036, 1, 1)), max_size=40),
)
def test_what_ten_years_surely_have_has_passed_by_then(
    zone: str, start: datetime, holidays: frozenset[date]
) -> None:
    # On Sundays, clocks skip these hours.
    rare = WorkingTime(zone=zone, hours={"sun": ("02:00-03:00",)}, holidays=holidays)
    assert timedelta(hours=400) < rare.surely <= timedelta(hours=500)
    assert after(rare, start, rare.surely) - start <= timedelta(days=3_660)


class Counted(WorkingTime):
    """Notes the days whose spans are worked out."""

    _seen: list[date] = PrivateAttr(default_factory=list)

    def _spans(self, day: date, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        self._seen.append(day)
        return super()._spans(day, zone)


def test_each_day_is_worked_out_once_for_all_that_is_scheduled() -> None:
    counted = Counted(zone="UTC", hours={"mon": ("09:00-09:01",)})
    friday = at("2026-11-27T15:00+00:00")
    times = counted.after(friday, [timedelta(seconds=60 * n) for n in range(1, 101)])
    assert len(times) == 100
    assert len(counted._seen) == len(set(counted._seen)) <= 701


@given(start=starts, duration=durations)
def test_around_the_clock_is_the_clock(start: datetime, duration: timedelta) -> None:
    assert after(ALWAYS, start, duration) == start + duration


@pytest.mark.parametrize(
    ("working_time", "problem"),
    [
        ("{zone: Mars/Base, hours: {mon: '09:00-17:00'}}", "not a time zone"),
        ("{zone: UTC, hours: {}}", "no day of the week"),
        ("{zone: UTC, hours: {monday: '09:00-17:00'}}", "is no day"),
        ("{zone: UTC, hours: {fri-mon: '09:00-17:00'}}", "ends before it begins"),
        ("{zone: UTC, hours: {mon: '17:00-09:00'}}", "no working hours"),
        ("{zone: UTC, hours: {mon: nine to five}}", "no working hours"),
        ("{zone: UTC, hours: {mon: nine-five}}", "no working hours"),
        ("{zone: UTC, hours: {mon: ['09:00-12:00', '11:00-17:00']}}", "mon overlap"),
        ("{zone: UTC, hours: {mon-fri: '09:00-17:00', tue: '10:00-11:00'}}", "tue overlap"),
        ("{zone: UTC, hours: {mon: '09:00-17:00'}, holidays: [someday]}", "holidays"),
    ],
)
def test_what_is_no_working_time_is_refused(working_time: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        load_policy(f"name: a\nversion: 1\nworking_time: {working_time}", source="a.yaml")


@pytest.mark.parametrize(
    ("hours", "end"),
    [
        ({"mon": "13:00-17:00", "mon-tue": "09:00-13:00"}, "2026-11-23T17:00+00:00"),
        ({"mon": ("13:00-17:00", "09:00-13:00")}, "2026-11-23T17:00+00:00"),
        ({"MON": "16:00-24:00"}, "2026-11-24T00:00+00:00"),
        ({"mon": ("00:00-07:00", "23:00-24:00")}, "2026-11-24T00:00+00:00"),
    ],
)
def test_hours_may_be_written_in_any_order_and_meet(hours: dict[str, Any], end: str) -> None:
    time = WorkingTime.model_validate({"zone": "UTC", "hours": hours})
    assert after(time, at("2026-11-23T00:00+00:00"), timedelta(hours=8)) == at(end)


@pytest.mark.parametrize(
    "hours",
    [
        {"mon": ("09:00-24:00", "10:00-11:00")},
        {"mon": "09:00-09:00"},
        {"mon": "09:00"},
        {"noday-fri": "09:00-17:00"},
        {"mon-noday": "09:00-17:00"},
        {"mon": ()},
    ],
)
def test_hours_that_mean_nothing_are_refused(hours: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"overlap|no working hours|no day"):
        WorkingTime.model_validate({"zone": "UTC", "hours": hours})


def test_nobody_waits_for_working_time_of_more_than_ten_years() -> None:
    week = WorkingTime.model_validate({"zone": "UTC", "hours": {"mon": "09:00-10:00"}})
    start = at("2026-11-23T00:00+00:00")
    assert after(week, start, timedelta(hours=520)) > start + timedelta(days=3_600)
    with pytest.raises(ValueError, match="more than ten years away"):
        after(week, start, timedelta(hours=530))


def test_a_rule_counts_working_time_where_it_says_so() -> None:
    policy = load_policy(
        """
        name: a
        version: 1
        working_time: {zone: Europe/Berlin, hours: {mon-fri: '09:00-17:00'}}
        actions:
          pay:
            approve:
              roles: [boss]
              remind_after: 4h
              escalate: [{after: 8h, roles: [lead]}]
              expire_after: 16h
              working_time: true
        """,
        source="a.yaml",
    )
    (rule,) = policy.actions["pay"]
    assert rule.approve is not None
    friday = at("2026-11-27T15:00+01:00")
    alarms, expires = policy.schedule(rule.approve, asked_at=friday, requirement=1)
    assert [(one.kind, one.at, one.roles) for one in alarms] == [
        ("remind", at("2026-11-30T11:00+01:00"), ()),
        ("escalate", at("2026-11-30T15:00+01:00"), ("lead",)),
    ]
    assert expires == at("2026-12-01T15:00+01:00")
    assert alarms[1].requirement == 1
    with pytest.raises(PolicyError, match="has no working_time"):
        load_policy(
            "name: a\nversion: 1\ndefault: {approve: {roles: [b], working_time: true}}",
            source="a.yaml",
        )
