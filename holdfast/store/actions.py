"""Actions: what was proposed, and the record of each execution."""

import asyncpg
from pydantic import JsonValue

from holdfast.domain.errors import LockTaken
from holdfast.domain.identity import ActionKey, ConversationKey, StepKey
from holdfast.domain.outcomes import ActionState
from holdfast.domain.records import ActionRecord
from holdfast.store.pool import Connection
from holdfast.store.steps import NewAction

_SELECT = """
select action.*, conversation.customer, conversation.priority, conversation.language,
       conversation.created_at as opened_at,
       coalesce(execution.tries, 0) as tries, coalesce(execution.undo_tries, 0) as undo_tries,
       (coalesce(execution.state, '') in ('executed', 'undoing', 'not_undone', 'compensated'))::int
         as executions
  from holdfast.actions as action
  left join holdfast.executions as execution
    on execution.tenant = action.tenant and execution.action = action.id
  join holdfast.conversations as conversation
    on conversation.tenant = action.tenant and conversation.id = action.conversation
"""


async def read_actions(connection: Connection, key: ConversationKey) -> list[ActionRecord]:
    """All actions that a conversation's agents proposed, in order."""
    rows = await connection.fetch(
        _SELECT
        + """
        where action.tenant = $1 and action.conversation = $2
        order by action.turn, action.step, action.index
        """,
        key.tenant,
        key.conversation,
    )
    return [ActionRecord.model_validate(dict(row)) for row in rows]


async def lock_action(
    connection: Connection, key: ActionKey, *, waits: bool = True
) -> ActionRecord | None:
    """One action of a step's proposal, locked until the transaction ends.

    Raises:
        LockTaken: another attempt has locked it, and `waits` is False.
    """
    try:
        row = await connection.fetchrow(
            f"""
            {_SELECT}
            where action.tenant = $1 and action.conversation = $2 and action.turn = $3
              and action.step = $4 and action.index = $5
              for update of action {"" if waits else "nowait"}
            """,
            key.tenant,
            key.conversation,
            key.turn,
            key.step,
            key.index,
        )
    except asyncpg.LockNotAvailableError as error:
        raise LockTaken(
            f"{key.tenant}/action/{key.conversation}/{key.turn}/{key.step}/{key.index}"
        ) from error
    return ActionRecord.model_validate(dict(row)) if row else None


async def proposal_of(connection: Connection, key: StepKey) -> list[ActionRecord]:
    """The actions of a step's proposal, in order."""
    rows = await connection.fetch(
        _SELECT
        + """
        where action.tenant = $1 and action.conversation = $2 and action.turn = $3
          and action.step = $4
        order by action.index
        """,
        key.tenant,
        key.conversation,
        key.turn,
        key.step,
    )
    return [ActionRecord.model_validate(dict(row)) for row in rows]


async def begin_execution(
    connection: Connection,
    tenant: str,
    action: str,
    *,
    idempotency_key: str,
    subject: str | None = None,
    facts: dict[str, JsonValue] | None = None,
) -> None:
    """Make the execution's row, or count another try: its state is `sending` until it has ended. With a
    `subject`, it is on another system, and holds the subject until then. `facts` are those that the first
    try was permitted with."""
    await connection.execute(
        """
        insert into holdfast.executions as execution
            (tenant, action, idempotency_key, state, subject, facts)
        values ($1, $2, $3, 'sending', $4, $5)
        on conflict (tenant, action) do update
           set tries = execution.tries + 1,
               subject = coalesce(execution.subject, excluded.subject)
        """,
        tenant,
        action,
        idempotency_key,
        subject,
        facts,
    )


async def take_back_execution(connection: Connection, tenant: str, action: str) -> None:
    """Forget the only try so far: nothing of it was sent. Where there were others, one may have been."""
    await connection.execute(
        "delete from holdfast.executions "
        "where tenant = $1 and action = $2 and state = 'sending' and tries = 1",
        tenant,
        action,
    )


async def begin_undoing(connection: Connection, tenant: str, action: str) -> None:
    """Record that an executed action is being undone on another system, or count another try."""
    await connection.execute(
        """
        update holdfast.executions set state = 'undoing', undo_tries = undo_tries + 1
         where tenant = $1 and action = $2 and state in ('executed', 'undoing')
        """,
        tenant,
        action,
    )


async def take_back_undoing(connection: Connection, tenant: str, action: str) -> None:
    """Forget the only try so far to undo it: nothing came of it. Where there were others, one may have
    succeeded."""
    await connection.execute(
        """
        update holdfast.executions set state = 'executed', undo_tries = 0
         where tenant = $1 and action = $2 and state = 'undoing' and undo_tries = 1
        """,
        tenant,
        action,
    )


async def mark_not_undone(connection: Connection, tenant: str, action: str, *, error: str) -> None:
    """Record that the action's effect stands, although it was to be undone, and why."""
    await connection.execute(
        """
        with execution as (
            update holdfast.executions set state = 'not_undone' where tenant = $1 and action = $2
        )
        update holdfast.actions set error = $3, updated_at = now() where tenant = $1 and id = $2
        """,
        tenant,
        action,
        error,
    )


async def end_execution(
    connection: Connection,
    tenant: str,
    action: str,
    *,
    state: ActionState,
    result: JsonValue,
    error: str | None,
) -> None:
    """Record how the execution and its action ended, and consume the approval where there is one."""
    await connection.execute(
        """
        with ended as (
            update holdfast.executions
               set state = $3, result = $4, error = $5, ended_at = now()
             where tenant = $1 and action = $2
        ), updated as (
            update holdfast.actions
               set state = $3, result = $4, error = $5, updated_at = now()
             where tenant = $1 and id = $2
            returning approval
        )
        update holdfast.approvals set consumed_at = coalesce(consumed_at, now())
         where tenant = $1 and id = (select approval from updated)
        """,
        tenant,
        action,
        state,
        result,
        error,
    )


async def mark_compensated(connection: Connection, tenant: str, action: str) -> None:
    """Record that the action's effect was undone."""
    await connection.execute(
        """
        with execution as (
            update holdfast.executions set state = 'compensated', compensated_at = now()
             where tenant = $1 and action = $2
        )
        update holdfast.actions set state = 'compensated', updated_at = now()
         where tenant = $1 and id = $2
        """,
        tenant,
        action,
    )


async def set_open_actions(
    connection: Connection,
    key: StepKey,
    *,
    state: ActionState,
    error: str,
    reviewer: str | None = None,
) -> None:
    """Give every action of the proposal that has neither ended nor begun the same end."""
    await connection.execute(
        """
        update holdfast.actions as action
           set state = $5, error = $6, reviewer = $7, updated_at = now()
         where tenant = $1 and conversation = $2 and turn = $3 and step = $4 and state = 'proposed'
           and not exists (select from holdfast.executions as execution
                            where execution.tenant = $1 and execution.action = action.id)
        """,
        key.tenant,
        key.conversation,
        key.turn,
        key.step,
        state,
        error,
        reviewer,
    )


async def replace_action(
    connection: Connection, tenant: str, approval: str, edited: NewAction
) -> None:
    """Put a reviewer's edit in the place of what was proposed, with what policy says about it. The arguments
    that were proposed are kept: the customer may ask for those again."""
    await connection.execute(
        """
        update holdfast.actions
           set proposed = coalesce(proposed, arguments), arguments = $4, facts = $5,
               description = $6, verdict = $7, policy = $8, policy_version = $9,
               policy_digest = $10, rule = $11, updated_at = now()
         where tenant = $1 and approval = $2 and index = $3 and state = 'proposed'
        """,
        tenant,
        approval,
        edited.index,
        edited.arguments,
        edited.facts,
        edited.description and edited.description.model_dump(mode="json"),
        edited.verdict,
        edited.policy,
        edited.policy_version,
        edited.policy_digest,
        edited.rule,
    )
