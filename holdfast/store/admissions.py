"""Messages that clients have let in and that are not answered yet, of all processes of a deployment.

The table is unlogged: what it says is worth nothing after a crash of Postgres, and costs no flush.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from holdfast.domain.identity import ConversationKey
from holdfast.domain.model import Frozen
from holdfast.store.fleet import LIVE_SECONDS
from holdfast.store.pool import Connection
from holdfast.store.sql import statement

_FORGOTTEN = timedelta(minutes=2)
"""A message whose turn is not known to have ended by then counts no more: who sent it may have died."""


_READ_LOAD = statement("read_load")


class AdmittedMessage(NamedTuple):
    """A message that was let in."""

    key: ConversationKey
    message_id: str


class Load(Frozen):
    """Messages under way by tenant, and how many steps the workers that are there run at a time; None
    where none has said so."""

    by_tenant: dict[str, int]
    capacity: int | None


async def read_load(connection: Connection, scope: str) -> Load:
    """The load at this moment; those whose turn has ended, or waits for people, are taken out."""
    row = await connection.fetchrow(
        *_READ_LOAD(
            scope=scope, forgotten_after=_FORGOTTEN, alive_for=timedelta(seconds=LIVE_SECONDS)
        )
    )
    assert row is not None
    return Load.model_validate(dict(row))


async def note_admissions(
    connection: Connection,
    scope: str,
    *,
    begun: Sequence[AdmittedMessage],
    ended: Sequence[AdmittedMessage],
) -> None:
    """Note which messages were let in, and which are under way no more."""
    await connection.execute(
        """
        with ended as (
            delete from holdfast.admissions as one
             using unnest($5::text[], $6::text[], $7::text[])
                   as over_ (tenant, conversation, message_id)
             where (one.tenant, one.conversation, one.message_id)
                 = (over_.tenant, over_.conversation, over_.message_id)
        )
        insert into holdfast.admissions (scope, tenant, conversation, message_id)
        select $1, * from unnest($2::text[], $3::text[], $4::text[])
        on conflict do nothing
        """,
        scope,
        *_columns(begun),
        *_columns(ended),
    )


def _columns(messages: Sequence[AdmittedMessage]) -> tuple[list[str], list[str], list[str]]:
    return (
        [one.key.tenant for one in messages],
        [one.key.conversation for one in messages],
        [one.message_id for one in messages],
    )
