"""Operations: what operators and reviewers have done to the records outside of a conversation's workflow.

The `kind` of a request is the name of the activity that carries it out.
"""

from typing import Annotated, Literal

from pydantic import Field

from holdfast.domain.ids import Id
from holdfast.domain.model import Frozen

_Count = Annotated[int, Field(ge=0, lt=2**31)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

DELIVERIES_AT_ONCE = 1_000
"""Where all dead deliveries are to be sent again, an operation takes this many of them."""


class ForkRequest(Frozen):
    """Create the conversation `target` from what was said in another one up to the end of a turn."""

    kind: Literal["fork_conversation"] = "fork_conversation"
    tenant: Id
    conversation: Id
    turn: Annotated[int, Field(ge=1, lt=2**31)]
    target: Id
    by: Id | None = None


class ReadingRequest(Frozen):
    """Note that a person has read a conversation, which had so many turns and messages."""

    kind: Literal["record_reading"] = "record_reading"
    tenant: Id
    conversation: Id
    reader: Id
    turns: _Count
    messages: _Count


class SightingRequest(Frozen):
    """Note that a reviewer has seen an approval, with the digest of what was shown. `receipt` is the hash of
    the approval's entry in the audit log, which only those know who read the records."""

    kind: Literal["record_sighting"] = "record_sighting"
    tenant: Id
    approval: Id
    reviewer: Id
    digest: _Digest
    receipt: _Digest


class ExportRequest(Frozen):
    """Note that the audit log is exported, from the entry behind `after` on."""

    kind: Literal["record_export"] = "record_export"
    tenant: Id
    reader: Id | None = None
    after: _Count = 0


class RedriveRequest(Frozen):
    """Send dead deliveries again: those that are named, all or none; or, where None is, as many as are sent
    at once."""

    kind: Literal["redrive_deliveries"] = "redrive_deliveries"
    tenant: Id
    deliveries: tuple[Id, ...] | None = None
    by: Id | None = None


Operation = Annotated[
    ForkRequest | ReadingRequest | SightingRequest | ExportRequest | RedriveRequest,
    Field(discriminator="kind"),
]


class OperationStart(Frozen):
    """The input of the workflow of an operation; `task_queue` is the first part of the queues' names."""

    task_queue: str
    operation: Operation


class OperationReport(Frozen):
    """What was done; `deliveries` are those that are sent again."""

    deliveries: tuple[str, ...] = ()


def operation_workflow_id(tenant: str, id: str) -> str:
    """The id of the workflow of an operation."""
    return f"{tenant}/operations/{id}"
