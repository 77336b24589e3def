"""Failures that travel say what kind they are, and hold no values and no internals."""

import json
from collections.abc import Callable

import asyncpg
import pytest
from pydantic import BaseModel, ValidationError, field_validator
from temporalio.api.failure.v1 import Failure
from temporalio.client import WorkflowUpdateFailedError
from temporalio.converter import DefaultPayloadConverter

from holdfast.domain.errors import LockTaken, NotHeld
from holdfast.domain.failures import in_words
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.failures import WordedFailures
from holdfast.runtime.settings import Settings
from holdfast.testing import routed_to
from tests.platform import Platform, counting

SECRET = "4111-1111"


class Card(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _fits(cls, number: int) -> int:
        raise ValueError(f"{number} and {SECRET} are no cards")


def _invalid(value: object) -> Exception:
    with pytest.raises(ValidationError) as raised:
        Card.model_validate({"number": value})
    return raised.value


class Strictly(BaseModel, extra="forbid"):
    pass


def _invalid_key(name: str) -> Exception:
    with pytest.raises(ValidationError) as raised:
        Strictly.model_validate({name: 1})
    return raised.value


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lambda: _invalid(SECRET), "number: Input should be a valid integer, unable to parse"),
        (lambda: _invalid(4111), "number: cannot be used"),
        (lambda: ValueError(f"card {SECRET}"), "ValueError"),
        (
            lambda: _invalid_key("number\nERROR somebody else's line"),
            "number ERROR somebody else's line: Extra inputs are not permitted",
        ),
        (lambda: _invalid_key("x" * 500), "x" * 99 + "…: Extra"),
        (lambda: KeyError(SECRET), "KeyError"),
        (
            lambda: FileNotFoundError(2, "No such file", f"/home/{SECRET}"),
            "FileNotFoundError: No such",
        ),
        (lambda: ConnectionError(f"postgresql://me:{SECRET}@db"), "ConnectionError"),
        (lambda: NotHeld("lena holds the conversation"), "NotHeld: lena holds the conversation"),
        (lambda: LockTaken(f"t/subject/{SECRET}"), "LockTaken: something else that it may not run"),
    ],
)
def test_what_went_wrong_is_told_without_values(error: Callable[[], Exception], words: str) -> None:
    told = in_words(error())
    assert told.startswith(words)
    assert SECRET not in told
    assert "4111" not in told


async def test_postgres_own_words_stay_with_it(stack_settings: Settings) -> None:
    connection = await asyncpg.connect(require_database_url(stack_settings))
    try:
        with pytest.raises(asyncpg.PostgresError) as raised:
            await connection.fetch(f"select '{SECRET}'::int")
    finally:
        await connection.close()
    assert in_words(raised.value) == "InvalidTextRepresentationError (Postgres, 22P02)"


def test_a_failure_in_a_history_has_no_message_of_others_and_no_traceback() -> None:
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as inner:
            raise RuntimeError(f"again {SECRET}") from inner
    except RuntimeError as raised:
        failure = Failure()
        WordedFailures().to_failure(raised, DefaultPayloadConverter(), failure)
    assert (failure.message, failure.application_failure_info.type) == ("RuntimeError",) * 2
    assert SECRET not in str(failure)
    assert "test_failures" not in str(failure)


async def test_nothing_of_a_builders_exception_is_in_the_history_or_the_events(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", counting([("fail", {})]))
    sent = await platform.send("c1", "fail")
    assert sent.status == "failed"
    history = (await platform.handle("c1").fetch_history()).to_json()
    events = [one.data.model_dump(mode="json") async for one in platform.client.events("c1")]
    for text in (history, json.dumps(events)):
        assert "this node is broken" not in text
        assert "Traceback" not in text
        assert ".py" not in text
    assert "ValueError" not in json.dumps(events)
    cause = await platform.database.fetchval(
        "select error from holdfast.turns where tenant = $1", platform.tenant
    )
    assert cause == "SubgraphFailed: ValueError"


async def test_a_request_that_does_not_fit_is_refused_without_its_values(
    platform: Platform,
) -> None:
    await platform.send("c1", "hello")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await platform.handle("c1").execute_update(
            "reply_as_human", {"id": "r", "reviewer": f"{SECRET}!", "text": "hello"}
        )
    told = str(refused.value.cause)
    assert "reviewer" in told
    assert SECRET not in told
