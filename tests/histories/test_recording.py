"""Recording: the scenarios lead where they should, and nothing is overwritten or names the machine."""

import json
import os
import socket
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from holdfast.runtime.settings import Settings
from holdfast.testing import require_replay
from holdfast.testing.recorded_history import add_history, read_history, recorded_files
from tests.histories.normalising import NamesMachine, normalised
from tests.histories.record import record_path
from tests.histories.scenarios import PATHS

STARTED: dict[str, Any] = {"workflowId": "t/c", "workflowType": {"name": "W"}}


def history(**attributes: Any) -> dict[str, Any]:
    """A history of one event, in Temporal's JSON."""
    started = {**STARTED, **attributes}
    return {"events": [{"eventId": "1", "workflowExecutionStartedEventAttributes": started}]}


@pytest.mark.parametrize("path", ["continued-as-new", "notifications"])
async def test_a_path_is_recorded_in_histories_that_replay(
    stack_settings: Settings, tmp_path: Path, path: str
) -> None:
    histories = await record_path(PATHS[path], stack_settings)
    assert len(histories) > 2
    for one in histories:
        file = add_history(path, one, tmp_path)
        assert "identity" not in file.read_text()
        await require_replay(read_history(file))


def test_a_further_history_gets_the_next_number_and_no_file_is_overwritten(tmp_path: Path) -> None:
    first = add_history("answered", history(attempt=1), tmp_path)
    content = first.read_text()
    (tmp_path / "answered-9.json").write_text(content)
    further = add_history("answered", history(attempt=2), tmp_path)
    assert further.name == "answered-10.json"
    assert first.read_text() == content
    assert [file.name for file in recorded_files(tmp_path)["answered"]] == [
        "answered-1.json",
        "answered-9.json",
        "answered-10.json",
    ]


def test_processes_and_stack_traces_are_left_out() -> None:
    identity = f"{os.getpid()}@{socket.gethostname()}"
    sticky = {"name": f"{identity}-1", "kind": "TASK_QUEUE_KIND_STICKY", "normalName": "q"}
    cleaned = normalised(
        history(
            identity=identity,
            taskQueue=sticky,
            failure={"message": "it broke", "stackTrace": f"File {__file__}, line 1"},
        )
    )
    assert cleaned == history(
        taskQueue={"kind": "TASK_QUEUE_KIND_STICKY", "normalName": "q"},
        failure={"message": "it broke"},
    )


@pytest.mark.parametrize(
    "reason",
    [f"the worker on {socket.gethostname()} is gone", f"{os.getpid()}@elsewhere"],
    ids=["host", "process"],
)
def test_a_history_that_names_the_machine_elsewhere_is_refused(reason: str) -> None:
    with pytest.raises(NamesMachine, match="t/c still names"):
        normalised(history(reason=reason))


def test_a_short_name_of_a_machine_may_be_inside_ids_and_payloads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "vm")
    payload = {"metadata": {}, "data": b64encode(b'{"digest": "Zvm1"}').decode()}
    assert normalised(history(input=payload, reason="svm")) == history(input=payload, reason="svm")
    named = {"metadata": {}, "data": b64encode(b'{"host": "vm"}').decode()}
    with pytest.raises(NamesMachine):
        normalised(history(input=named))


def test_a_file_that_is_no_history_is_named(tmp_path: Path) -> None:
    (tmp_path / "Answered.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"Answered\.json is no recorded history"):
        recorded_files(tmp_path)
