"""Durations as people write them: 90s, 30m, 48h, 7d."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,9})\s*([smhd])")


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    raise ValueError(f"{value!r} is not a duration; write 90s, 30m, 48h or 7d")


Duration = Annotated[
    timedelta, BeforeValidator(_duration), Field(gt=timedelta(0), le=timedelta(days=3_650))
]
