"""A package whose action tries to end the transaction that it is lent, and can."""

from typing import Literal

from pydantic import BaseModel, JsonValue

from holdfast import Action, ActionContext, Package


class End(BaseModel):
    """Send the statement after having written: as anybody can, or past what is lent; at the rehearsal or when
    it counts."""

    statement: str
    past: bool = False
    when: Literal["rehearsed", "executed"] = "rehearsed"


async def _end(context: ActionContext, end: End) -> JsonValue:
    lent = context.transaction
    await lent.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'ending', 1)",
        context.tenant,
    )
    begun = await lent.fetchval(
        "select count(*) from holdfast.executions where tenant = $1 and action = $2",
        context.tenant,
        context.idempotency_key,
    )
    if begun == (end.when == "executed"):
        connection = lent._con if end.past else lent  # type: ignore[union-attr]
        await connection.execute(end.statement)
    return None


package = Package(
    name="ending",
    actions=(Action(name="end", description="End it.", arguments=End, execute=_end),),
)
