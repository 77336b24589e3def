"""Requests to the conversations that exist: updates, the closing signal, histories."""

from functools import partial
from typing import TypeVar
from uuid import uuid4

from pydantic import BaseModel
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from holdfast.client.dispatch import deliver, is_missing
from holdfast.client.records import Records
from holdfast.client.views import History
from holdfast.domain import wire
from holdfast.domain.errors import ConversationClosed

AnswerT = TypeVar("AnswerT")

REQUEST_SECONDS = 30.0
"""How long a request waits for its answer, unless the caller says otherwise."""

_LOOKS_FOR_A_RUN = 5
"""How often a workflow that should run may be missing, over 1.5 seconds, before that is believed."""


class Requests:
    """Talks to the workflows of one tenant's conversations.

    Every method raises `InvalidRequest` for what can be no id, `ConversationNotFound` and
    `ConversationClosed` where no workflow runs, and
    `Unavailable` where nobody answers within `timeout` seconds (None: forever).
    """

    def __init__(self, temporal: Client, records: Records) -> None:
        self._temporal = temporal
        self._records = records

    async def update(
        self,
        conversation: str,
        name: str,
        request: BaseModel,
        answer: type[AnswerT],
        *,
        timeout: float | None,
        id: str | None = None,
    ) -> AnswerT:
        """The answer to an update; raises the exception of the code with which it is refused."""
        update_id = id or uuid4().hex
        handle = self._handle(conversation)

        async def attempt() -> AnswerT:
            answered: AnswerT = await handle.execute_update(
                name, request, id=update_id, result_type=answer
            )
            return answered

        return await deliver(
            attempt,
            what=f"{name} of conversation {conversation}",
            timeout=timeout,
            when_missing=partial(self._explain_missing, conversation),
        )

    async def signal_close(self, conversation: str, reason: str, *, timeout: float | None) -> None:
        """Ask the conversation to close; it does so later."""
        handle = self._handle(conversation)
        await deliver(
            partial(handle.signal, wire.CLOSE, reason),
            what=f"close of conversation {conversation}",
            timeout=timeout,
            when_missing=partial(self._explain_missing, conversation),
        )

    async def history(self, conversation: str, *, timeout: float | None) -> History | None:
        """The history of the latest run; None when Temporal has none any more."""
        handle = self._handle(conversation)

        async def attempt() -> History | None:
            try:
                described = await handle.describe()
            except RPCError as error:
                if is_missing(error):
                    return None
                raise
            return History(
                run=described.run_id,
                events=described.history_length,
                bytes=described.raw_info.history_size_bytes,
            )

        return await deliver(
            attempt, what=f"history of conversation {conversation}", timeout=timeout
        )

    def _handle(self, conversation: str) -> WorkflowHandle[object, object]:
        return self._temporal.get_workflow_handle(self._records.key(conversation).workflow_id)

    async def _explain_missing(self, conversation: str, times: int) -> None:
        record = await self._records.conversation(conversation)
        if record.closed_at is not None:
            raise ConversationClosed(
                f"conversation {conversation!r} is closed; a new message reopens it"
            )
        if times >= _LOOKS_FOR_A_RUN:
            raise ConversationClosed(
                f"conversation {conversation!r} has no running workflow (it was terminated, or its "
                "Temporal namespace is another one); a new message starts it again"
            )
