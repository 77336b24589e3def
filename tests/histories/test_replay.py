"""What was recorded of every path still replays, and a change that breaks it is told in plain words."""

from pathlib import Path

import pytest

from holdfast.domain import wire
from holdfast.testing import HistoryBroken, require_replay
from holdfast.testing.recorded_history import RecordedHistory, read_history, recorded_files
from tests.histories.changed import Failing, Pausing, PausingFromNowOn
from tests.histories.scenarios import PATHS

FILES = recorded_files(Path(__file__).parent)
RECORD = "make histories"

NOT_IN_HISTORIES = {wire.TRIAGE}
"""A subgraph, whose name is in a payload."""


def first_of(path: str) -> RecordedHistory:
    return read_history(FILES[path][0])


@pytest.mark.parametrize(
    "file", [file for files in FILES.values() for file in files], ids=lambda file: file.stem
)
async def test_a_recorded_history_replays(file: Path) -> None:
    await require_replay(read_history(file))


def test_every_path_has_a_recorded_history() -> None:
    missing = sorted(set(PATHS) - set(FILES))
    assert not missing, f"no history of {', '.join(missing)}; `{RECORD}` records what is missing"


def test_every_workflow_activity_update_and_signal_is_in_a_recorded_history() -> None:
    written = "".join(file.read_text() for files in FILES.values() for file in files)
    names = {
        value
        for name, value in vars(wire).items()
        if name.isupper() and isinstance(value, str) and value not in NOT_IN_HISTORIES
    }
    missing = sorted(
        name
        for name in names
        if f'"name":"{name}"' not in written and f'"signalName":"{name}"' not in written
    )
    assert not missing, (
        f"no recorded history has {', '.join(missing)}; write a scenario in tests/histories/ that "
        f"leads there, and run `{RECORD}`"
    )


def test_histories_of_a_path_are_numbered_without_gaps() -> None:
    for path, files in FILES.items():
        expected = [f"{path}-{number}.json" for number in range(1, len(files) + 1)]
        assert [file.name for file in files] == expected, (
            f"a history of {path} is gone; bring it back: conversations with such a history may be open"
        )


async def test_a_change_that_open_conversations_do_not_survive_is_told_with_its_event_and_a_way_out() -> (
    None
):
    with pytest.raises(HistoryBroken) as broken:
        await require_replay(first_of("approved"), workflows=[Pausing])
    message = str(broken.value)
    first_step = next(
        event
        for event in first_of("approved").history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == wire.RUN_SUBGRAPH
    )
    assert "ConversationWorkflow does not replay approved-1.json" in message
    assert "tests/histories/approved-1.json" in message
    assert f"event:    {first_step.event_id}, activity task scheduled: run_subgraph" in message
    assert "reason:   [TMPRL1100] Nondeterminism error: Timer machine" in message
    assert "workflow.patched" in message
    assert "Never edit, delete or replace the history" in message


async def test_a_change_that_raises_is_told_with_the_exception() -> None:
    await require_replay(first_of("answered"), workflows=[Failing])
    with pytest.raises(HistoryBroken, match="reason:   KeyError: 'decision'"):
        await require_replay(first_of("approved"), workflows=[Failing])


@pytest.mark.parametrize("path", ["answered", "approved", "parked", "continued-as-new"])
async def test_the_same_change_behind_a_patch_breaks_nothing(path: str) -> None:
    for file in FILES[path]:
        await require_replay(read_history(file), workflows=[PausingFromNowOn])


def test_every_activity_beats_so_that_the_death_of_its_worker_is_noticed() -> None:
    for path in FILES:
        for event in first_of(path).history.events:
            if event.HasField("activity_task_scheduled_event_attributes"):
                scheduled = event.activity_task_scheduled_event_attributes
                seconds = scheduled.heartbeat_timeout.ToSeconds()
                assert 0 < seconds <= 5, scheduled.activity_type.name
