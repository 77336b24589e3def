"""A brought package for tests: calls to another system that can be taken back."""

import httpx2
from pydantic import BaseModel, JsonValue

from holdfast import Action, ActionContext, ActionRefused, Package


class Call(BaseModel):
    """Where to."""

    url: str


async def _call(context: ActionContext, call: Call) -> JsonValue:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(
            call.url, headers={"Idempotency-Key": context.idempotency_key}, timeout=10
        )
    if answer.status_code == 409:
        raise ActionRefused("the other system refused")
    answer.raise_for_status()
    return {"called": call.url}


async def _take_back(context: ActionContext, call: Call, result: JsonValue) -> None:
    assert result == {"called": call.url}
    await _call(context, call)


class Note(BaseModel):
    """Nothing."""


class Number(BaseModel):
    """A number of so many digits, or none."""

    digits: int


async def _note(context: ActionContext, note: Note) -> JsonValue:
    return "noted"


async def _number(context: ActionContext, number: Number) -> JsonValue:
    return {"numbers": [10**number.digits if number.digits else float("nan")]}


async def _unsettle(context: ActionContext, note: Note) -> JsonValue:
    await context.transaction.execute("set search_path = pg_temp; create temp table notes (id int)")
    return "unsettled"


async def _forget(context: ActionContext, note: Note, result: JsonValue) -> None:
    raise RuntimeError("it cannot be forgotten")


package = Package(
    name="sending",
    actions=(
        Action(
            name="number",
            description="Give a number.",
            arguments=Number,
            execute=_number,
        ),
        Action(
            name="unsettle",
            description="Leave one's session changed.",
            arguments=Note,
            execute=_unsettle,
        ),
        Action(
            name="note",
            description="Note that something goes on.",
            arguments=Note,
            execute=_note,
            compensate=_forget,
        ),
        Action(
            name="call",
            description="Call a URL.",
            arguments=Call,
            execute=_call,
            compensate=_take_back,
            remote=True,
        ),
    ),
)
