"""Recorded histories, in a folder: files of Temporal's JSON, `{path}-{number}.json`, an event on each line."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

_NAME = re.compile(r"(?P<path>[a-z-]+)-(?P<number>[1-9][0-9]*)\.json")


@dataclass(frozen=True)
class RecordedHistory:
    """A file, and the history in it."""

    file: Path
    history: WorkflowHistory

    @property
    def workflow_type(self) -> str:
        """The workflow's name on the wire."""
        started = self.history.events[0].workflow_execution_started_event_attributes
        return started.workflow_type.name


def recorded_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each path, in the order of their numbers."""
    found: dict[str, list[Path]] = {}
    for file in folder.glob("*.json"):
        found.setdefault(_named(file)["path"], []).append(file)
    return {path: sorted(found[path], key=_number) for path in sorted(found)}


def read_history(file: Path) -> RecordedHistory:
    """The history in a file."""
    content: dict[str, Any] = json.loads(file.read_text())
    return RecordedHistory(file, history_of(content))


def history_of(content: dict[str, Any]) -> WorkflowHistory:
    """The history in Temporal's JSON, which has the workflow's id in its first event only."""
    started = content["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], content)


def add_history(path: str, content: dict[str, Any], folder: Path) -> Path:
    """Write a history under the next number of its path; no file is ever overwritten."""
    number = max(map(_number, recorded_files(folder).get(path, [])), default=0) + 1
    file = folder / f"{path}-{number}.json"
    events = ",\n".join(json.dumps(event, separators=(",", ":")) for event in content["events"])
    with file.open("x") as opened:
        opened.write(f'{{"events":[\n{events}\n]}}\n')
    return file


def _named(file: Path) -> re.Match[str]:
    name = _NAME.fullmatch(file.name)
    if name is None:
        raise ValueError(f"{file.name} is no recorded history; these are called PATH-NUMBER.json")
    return name


def _number(file: Path) -> int:
    return int(_named(file)["number"])
