"""Whether an action is to be undone: what the records of its proposal say."""

from holdfast.store.pool import Connection


async def is_to_be_undone(connection: Connection, tenant: str, action: str) -> bool:
    """Whether a later action of the same proposal has ended without success, so that this one may not
    stand."""
    found = await connection.fetchval(
        """
        select true from holdfast.actions as one
          join holdfast.actions as later
            on later.tenant = one.tenant and later.conversation = one.conversation
           and later.turn = one.turn and later.step = one.step and later.index > one.index
         where one.tenant = $1 and one.id = $2
           and later.state not in ('proposed', 'executed', 'compensated')
         limit 1
        """,
        tenant,
        action,
    )
    return bool(found)
