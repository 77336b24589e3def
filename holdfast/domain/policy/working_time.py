"""Working time: which hours of which days count, in a time zone of its own."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from holdfast.domain.model import Strict

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


MOST_SPANS = 12
"""Spans of working hours of a day."""
MOST_HOLIDAYS = 1_000
_MOST_DAYS = 3_660
_SURE_WEEKS = 500
"""Of the 522 in so many days: clocks skip hours of less than two days a year."""

Hours = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(max_length=MOST_SPANS)]
"""Times of a day: "09:00-17:30", or several of these."""


class WorkingTime(Strict):
    """When people work: hours by day or range of days (`mon-fri`), without the holidays.

    Durations are real time: an hour that the clocks skip does not count, and one that they repeat
    counts twice.
    """

    zone: str
    hours: dict[str, Hours]
    holidays: Annotated[frozenset[date], Field(max_length=MOST_HOLIDAYS)] = frozenset()

    def __hash__(self) -> int:
        return hash((self.zone, tuple(self.hours.items()), self.holidays))

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a time zone; write Europe/Berlin, say") from None
        return zone

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if not any(self._week):
            raise ValueError("no day of the week has working hours")
        return self

    @cached_property
    def _week(self) -> tuple[tuple[tuple[time, time], ...], ...]:
        """The spans of each day of the week; an end of 00:00 is midnight."""
        week: list[list[tuple[time, time]]] = [[] for _ in _DAYS]
        for days, hours in self.hours.items():
            spans = [_span(one) for one in hours]
            for day in _days(days):
                week[day] += spans
        for name, day_spans in zip(_DAYS, week, strict=True):
            day_spans.sort()
            for (_, end), (start, _) in pairwise(day_spans):
                if end == time() or start < end:
                    raise ValueError(f"the working hours of {name} overlap")
            if len(day_spans) > MOST_SPANS:
                raise ValueError(f"{name} has more than {MOST_SPANS} spans of working hours")
        return tuple(tuple(spans) for spans in week)

    @cached_property
    def surely(self) -> timedelta:
        """Working time that ten years have at least, whenever they begin."""
        of_days = [sum((_length(*span) for span in spans), timedelta()) for spans in self._week]
        lost = sum((of_days[day.weekday()] for day in self.holidays), timedelta())
        return _SURE_WEEKS * sum(of_days, timedelta()) - lost

    def after(self, start: datetime, durations: Collection[timedelta]) -> dict[timedelta, datetime]:
        """The times (UTC) at which these durations of working time have passed since `start`.

        Raises:
            ValueError: one is more than ten years away, as none is that `surely` has.
        """
        zone = ZoneInfo(self.zone)
        passed = timedelta()
        found: dict[timedelta, datetime] = {}
        left = sorted(set(durations), reverse=True)
        day = start.astimezone(zone).date()
        for _ in range(_MOST_DAYS):
            for opens, closes in self._spans(day, zone):
                begins = max(opens, start)
                if begins < closes:
                    while left and left[-1] - passed <= closes - begins:
                        found[left[-1]] = begins + (left[-1] - passed)
                        left.pop()
                    passed += closes - begins
            if not left:
                return found
            day += timedelta(days=1)
        raise ValueError(f"{left[-1]} of working time after {start} is more than ten years away")

    def _spans(self, day: date, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        if day in self.holidays:
            return []
        spans = []
        for opens, closes in self._week[day.weekday()]:
            last = day + timedelta(days=1) if closes == time() else day
            spans.append(
                (
                    datetime.combine(day, opens, zone).astimezone(UTC),
                    datetime.combine(last, closes, zone).astimezone(UTC),
                )
            )
        return spans


def _length(opens: time, closes: time) -> timedelta:
    ends = datetime.combine(date.min + timedelta(days=closes == time()), closes)
    return ends - datetime.combine(date.min, opens)


def _span(text: str) -> tuple[time, time]:
    opens, _, closes = text.partition("-")
    try:
        span = (
            time.fromisoformat(opens.strip()),
            time.fromisoformat(closes.strip().replace("24:00", "00:00")),
        )
    except ValueError:
        raise ValueError(f"{text!r} are no working hours; write 09:00-17:30") from None
    if any(one.tzinfo is not None for one in span):
        raise ValueError(f"{text!r} has a time zone of its own; write 09:00-17:30")
    if span[1] != time() and span[1] <= span[0]:
        raise ValueError(f"{text!r} are no working hours; write 09:00-17:30")
    return span


def _days(text: str) -> range:
    first, _, last = text.lower().partition("-")
    if first not in _DAYS or (last or first) not in _DAYS:
        raise ValueError(f"{text!r} is no day; write mon, or mon-fri")
    days = range(_DAYS.index(first), _DAYS.index(last or first) + 1)
    if not days:
        raise ValueError(f"{text!r} ends before it begins")
    return days
