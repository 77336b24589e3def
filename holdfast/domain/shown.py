"""What a reviewer sees of an approval's actions, and the digest of it that a decision quotes."""

from collections.abc import Iterable

from pydantic import JsonValue

from holdfast.domain.ids import json_digest
from holdfast.domain.model import Frozen
from holdfast.domain.terms import Covered


class ShownAction(Frozen):
    """An action as a reviewer sees it; `description` is the JSON of an `ActionDescription`."""

    name: str
    arguments: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    description: JsonValue = None


def shown_digest(actions: Iterable[ShownAction], covers: Covered = "shown") -> str:
    """SHA-256 over the canonical JSON of what a reviewer sees of the actions, in order: their names,
    arguments, facts and descriptions, amounts included; as much of it as `covers` says."""
    fields = {"name", "arguments"} if covers == "arguments" else None
    described: list[JsonValue] = [
        action.model_dump(mode="json", include=fields) for action in actions
    ]
    return json_digest(described)
