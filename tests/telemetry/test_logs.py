"""The log holds no values of other people's exceptions."""

import logging

import pytest

from holdfast.telemetry.logs import WordedLog

SECRET = "4111-1111"


def test_the_log_says_where_and_not_what_with(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError(SECRET)

    try:
        try:
            fail()
        except ValueError as inner:
            raise KeyError(SECRET) from inner
    except KeyError:
        logging.getLogger("test").exception("it failed")
    (record,) = caplog.records
    record.exc_text = None
    written = WordedLog("%(message)s").format(record)
    assert "in fail" in written
    assert written.index("ValueError") < written.index("which led to:") < written.index("KeyError")
    assert SECRET not in written
