"""Actions after they were proposed: what became of those of a turn, what stands, what still waits."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue

from holdfast.domain.description import ActionDescription
from holdfast.domain.endings import Account, EndedAction, WaitingAction
from holdfast.domain.identity import ConversationKey, TurnKey
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import OUTCOME_UNKNOWN, RecordedActionState
from holdfast.domain.past import PastAction, PastState
from holdfast.store.locks import take_lock
from holdfast.store.pool import Connection
from holdfast.store.sql import statement

_TITLE_WORDS = "replace(initcap(left(action.name, 1)) || substr(action.name, 2), '_', ' ')"
"""A name as people read it, where nothing describes the action."""

_TITLE = f"coalesce(action.description ->> 'title', {_TITLE_WORDS})"

_CUSTOMER_TITLE = f"""
coalesce(action.description -> 'customer_title' ->>
                    (select language from holdfast.conversations where tenant = $1 and id = $2),
         action.description -> 'customer_title' ->> 'en', {_TITLE})
"""
"""What the customer of conversation $2 of tenant $1 reads: in their language, else in English."""

STANDING = statement("standing")
_RECENT = statement("recent_actions")
_EQUAL = statement("equal_action", recent=_RECENT)
_SPELLINGS = statement("spellings", recent=_RECENT)
_MOST_SPELLINGS = 1_000


class StandingAction(Frozen):
    """An action that was done, failed or waits, as a step finds it. `execution` is the state of its
    execution, where one was begun; `remote` says that this was on another system."""

    id: str
    conversation: str
    turn: int
    name: str
    title: str
    arguments: dict[str, JsonValue]
    state: RecordedActionState
    approval: str | None
    at: datetime
    execution: str | None = None
    remote: bool = False

    def seen(self) -> PastAction | None:
        """The action as an agent sees it; None where nothing was done."""
        state = past_state(
            self.state, approval=self.approval, execution=self.execution, remote=self.remote
        )
        if state is None:
            return None
        return PastAction.model_validate({**self.model_dump(), "state": state})


class EqualAction(Frozen):
    """The latest action that is equal to one that is proposed. `told` says that an agent of this
    conversation got to know of it in an earlier turn, by a result with the state `repeated`; `changed_to`
    are the arguments that a reviewer gave it."""

    id: str
    conversation: str
    turn: int
    seen: PastState
    result: JsonValue
    at: datetime
    told: bool
    description: ActionDescription | None = None
    changed_to: dict[str, JsonValue] | None = None


async def lock_repeats(connection: Connection, tenant: str, customer: str) -> None:
    """Let nobody else look for equal actions of this customer until the transaction ends.

    Raises:
        LockTaken: somebody does.
    """
    await take_lock(connection, f"{tenant}/repeat/{customer}")


async def find_equal(
    connection: Connection,
    key: TurnKey,
    *,
    customer: str,
    name: str,
    arguments: dict[str, JsonValue],
    is_equal: Callable[[dict[str, JsonValue]], bool],
    within: timedelta,
    besides: str | None = None,
) -> EqualAction | None:
    """The latest action of a customer, in whichever conversation, with this name and these arguments, or
    with such that `is_equal` to them, as they were proposed or as a reviewer has edited them, that waits or
    is under way, or was executed, or may have been on another system, `within` this time. One that was
    executed is under way until its whole proposal is, since it may yet be undone. Actions of the approval
    `besides` are left out."""
    rows = await connection.fetch(
        *_SPELLINGS(
            tenant=key.tenant, customer=customer, name=name, within=within, limit=_MOST_SPELLINGS
        )
    )
    if not rows:
        return None
    recorded = [one for row in rows for one in (row["arguments"], row["proposed"]) if one]
    row = await connection.fetchrow(
        *_EQUAL(
            tenant=key.tenant,
            customer=customer,
            conversation=key.conversation,
            turn=key.turn,
            name=name,
            spellings=[arguments, *(one for one in recorded if is_equal(one))],
            within=within,
            besides=besides,
        )
    )
    if row is None:
        return None
    seen = "under_way" if row["unfinished"] else _past_state_of(dict(row))
    return EqualAction.model_validate(
        {
            **row,
            "seen": seen,
            "result": None if seen == "under_way" else row["result"],
            "at": row["updated_at"],
            "changed_to": row["arguments"] if row["proposed"] is not None else None,
        }
    )


def past_state(
    state: RecordedActionState | None, *, approval: str | None, execution: str | None, remote: bool
) -> PastState | None:
    """What the states of an action and of its execution mean to those who come later; None where nothing
    was done. What has failed on another system (`remote`) may have been done there."""
    match state:
        case "executed" if execution == "undoing":
            return "under_way"
        case "executed":
            return "not_undone" if execution == "not_undone" else "executed"
        case "failed":
            return "unclear" if remote else None
        case "proposed":
            return "waiting" if approval is not None else "under_way"
        case _:
            return None


async def account_of(connection: Connection, key: TurnKey) -> Account:
    """What became of the actions of a turn, and what waits in the conversation besides. What a repeated
    action has come to is what the one that it repeats has."""
    rows = await connection.fetch(
        f"""
        select action.id, action.name, {_CUSTOMER_TITLE} as title, action.arguments, action.state,
               action.step, action.repeats, meant.state as meant, meant.approval, execution.state as execution,
               execution.subject is not null as remote
          from holdfast.actions as action
          left join holdfast.actions as meant
            on meant.tenant = $1 and meant.id = coalesce(action.repeats, action.id)
          left join holdfast.executions as execution
            on execution.tenant = $1 and execution.action = meant.id
         where action.tenant = $1 and action.conversation = $2 and action.turn = $3
           and action.state <> 'proposed'
         order by action.step, action.index
        """,
        key.tenant,
        key.conversation,
        key.turn,
    )
    waiting = await connection.fetch(
        f"""
        select id, {_CUSTOMER_TITLE} as title
          from holdfast.actions as action
         where tenant = $1 and conversation = $2 and turn <> $3 and state = 'proposed'
         order by turn, step, index
        """,
        key.tenant,
        key.conversation,
        key.turn,
    )
    return Account(
        actions=tuple(
            EndedAction.model_validate(
                {**row, "came_to": _past_state_of({**row, "state": row["meant"]})}
            )
            for row in rows
        ),
        waiting=tuple(WaitingAction.model_validate(dict(row)) for row in waiting),
    )


async def end_open_actions(
    connection: Connection, key: ConversationKey, *, turn: int | None, reason: str
) -> None:
    """End the actions, of one turn or of all, that nobody will execute or undo any more. One that was
    sent to another system and did not come back has failed."""
    await connection.execute(
        """
        with open as (
            select action.id, execution.action is not null as sent
              from holdfast.actions as action
              left join holdfast.executions as execution
                on execution.tenant = $1 and execution.action = action.id
             where action.tenant = $1 and conversation = $2 and ($3::int is null or turn = $3)
               and (action.state = 'proposed'
                    or action.state = 'executed' and execution.state = 'undoing'))
        update holdfast.actions as action
           set state = case when sent then 'failed' else 'withdrawn' end,
               error = case when sent then $5 else $4 end, updated_at = now()
          from open where action.tenant = $1 and action.id = open.id
        """,
        key.tenant,
        key.conversation,
        turn,
        reason,
        f"{reason.rstrip('.')}; {OUTCOME_UNKNOWN}",
    )


def _past_state_of(row: dict[str, Any]) -> PastState | None:
    return past_state(
        row["state"], approval=row["approval"], execution=row["execution"], remote=row["remote"]
    )
