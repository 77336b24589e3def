"""docs/events.md says what the models of the events say, and its Python runs."""

import json
import runpy
from pathlib import Path

import pytest

from holdfast.domain.events import PAYLOADS, Event
from holdfast.testing import routed_to
from tests.docs.blocks import blocks, write_files
from tests.docs.events_page import PAGE, SCHEMA, page, schema
from tests.platform import Platform, counting


def test_the_page_and_the_schema_are_those_of_the_models() -> None:
    assert PAGE.read_text() == page(), "run `make events`"
    assert SCHEMA.read_text() == schema(), "run `make events`"


def test_every_kind_has_an_example_that_could_have_been_recorded() -> None:
    shown = [json.loads(block.text) for block in blocks(PAGE, "json")]
    assert [one["type"] for one in shown] == list(PAYLOADS)
    for one in shown:
        event = Event.model_validate(one)
        assert type(event.data).model_validate(one["data"]) == event.data
        assert event.model_dump(mode="json") == one
        assert event.data.of_turn == (event.turn is not None)


async def test_a_conversation_is_followed_to_its_end(
    platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = write_files(PAGE, tmp_path)
    adding = [("add", {"counter": "c", "amount": 150})]
    platform.script = routed_to("counter", counting(adding))
    sent = await platform.send("c1", "add it")
    await platform.client.close("c1", reason="done")
    capsys.readouterr()
    await runpy.run_path(str(snippet))["follow"](platform.client, "c1")
    asked, holding, *_, closed = capsys.readouterr().out.splitlines()
    assert asked.startswith(f"{sent.approvals[0]} waits for ")
    assert (holding, closed) == (sent.reply, "closed: done")
