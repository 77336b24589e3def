"""Actions after they were proposed: what became of those of a turn, and what still waits."""

from collections.abc import Collection
from typing import Any

from holdfast.domain.endings import Account, EndedAction
from holdfast.store.pool import Connection

_TITLE_WORDS = "replace(initcap(left(name, 1)) || substr(name, 2), '_', ' ')"
"""A name as people read it, where nothing describes the action."""

_TITLE = f"coalesce(action.description ->> 'title', {_TITLE_WORDS})"


async def account_of(
    connection: Connection, tenant: str, conversation: str, turn: int, *, remote: Collection[str]
) -> Account:
    """What became of the actions of a turn, and what waits in the conversation besides; `remote` are
    the actions that call other systems: where one has failed, nobody knows what it did."""
    rows = await connection.fetch(
        f"""
        select id, name, {_TITLE} as title, state
          from holdfast.actions as action
         where tenant = $1 and conversation = $2 and turn = $3 and state <> 'proposed'
         order by step, index
        """,
        tenant,
        conversation,
        turn,
    )
    waiting = await connection.fetch(
        f"""
        select {_TITLE} as title
          from holdfast.actions as action
         where tenant = $1 and conversation = $2 and turn <> $3 and state = 'proposed'
         order by turn, step, index
        """,
        tenant,
        conversation,
        turn,
    )
    return Account(
        actions=tuple(_ended(dict(row), remote) for row in rows),
        waiting=tuple(dict.fromkeys(row["title"] for row in waiting)),
    )


async def end_open_actions(
    connection: Connection, tenant: str, conversation: str, *, turn: int | None, reason: str
) -> None:
    """End the actions, of one turn or of all, that nobody will execute any more. One that was sent to
    another system and did not come back has failed."""
    await connection.execute(
        """
        update holdfast.actions as action
           set state = case when exists (
                           select from holdfast.executions as execution
                            where execution.tenant = $1 and execution.action = action.id)
                       then 'failed' else 'withdrawn' end,
               error = $4, updated_at = now()
         where tenant = $1 and conversation = $2 and ($3::int is null or turn = $3)
           and state = 'proposed'
        """,
        tenant,
        conversation,
        turn,
        reason,
    )


def _ended(row: dict[str, Any], remote: Collection[str]) -> EndedAction:
    unclear = row["state"] == "failed" and row["name"] in remote
    return EndedAction.model_validate({**row, "unclear": unclear})
