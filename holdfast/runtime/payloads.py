"""Values on Temporal's wire: pydantic's JSON, and what claims to be JSON and is none."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter


class NotJson:
    """In the place of a value that cannot be read. It is of no type that anybody takes, so that a handler
    refuses it like every other value that does not fit."""


class Payloads(PydanticPayloadConverter):
    """Reads values whose type is not known here without raising for broken JSON: the SDK would fail the
    workflow task, forever, before a handler could refuse. Unknown encodings do raise: what was encrypted
    can be read once the codec is there."""

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """The values; with hints, what does not fit raises as it does in the SDK."""
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._read(payload) for payload in payloads]

    def _read(self, payload: Payload) -> Any:
        try:
            (value,) = super().from_payloads([payload])
        except ValidationError:
            return NotJson()
        return value
