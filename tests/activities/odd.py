"""A package whose code is as builders write it, and not always right."""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    computed_field,
    field_serializer,
    field_validator,
)

from holdfast import (
    Action,
    ActionContext,
    ActionDescription,
    ActionRefused,
    Change,
    Connection,
    Detail,
    Package,
)


class Euros(BaseModel):
    """Reads euros, and holds cents: what it writes it reads as a hundred times as much."""

    amount: int

    @field_validator("amount")
    @classmethod
    def _in_cents(cls, amount: int) -> int:
        return amount * 100


class Cents(BaseModel):
    amount: int


class Slot(BaseModel):
    """Other names on the wire, and a value that is worked out; nothing else is let in."""

    model_config = ConfigDict(extra="forbid")

    slot_id: str = Field(alias="slotId")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def clinic(self) -> str:
        return self.slot_id.partition("-")[0]


class Amount(BaseModel):
    amount: str

    @field_validator("amount")
    @classmethod
    def _is_a_number(cls, amount: str) -> str:
        Decimal(amount)  # raises what pydantic does not know
        return amount

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cents(self) -> int:
        return int(Decimal(self.amount) * 100)


class Refund(BaseModel):
    """Values that can be spelt in several ways."""

    amount: Decimal
    at: datetime | None = None
    lines: tuple[UUID, ...] = ()


class RefundWithDefault(Refund):
    twice: bool = True


class RefundWithReason(Refund):
    why: str


class SmallRefund(Refund):
    amount: Annotated[Decimal, Field(lt=50)]


class BareRefund(BaseModel):
    amount: Decimal


class ComputedRefund(BaseModel):
    at: datetime | None = None
    lines: tuple[UUID, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def amount(self) -> Decimal:
        return Decimal(2000)


class ShadowedRefund(ComputedRefund):
    """Takes the recorded amount as well, which its code does not see."""

    model_config = ConfigDict(extra="allow")


class RefundWithHidden(Refund):
    twice: bool = Field(default=True, exclude=True)


class Tip(BaseModel):
    amount: Decimal
    kept: int | None = Field(default=None, exclude=True)
    """Not written, so that nobody sees it."""


class Forced(BaseModel):
    twice: bool = Field(default=True, exclude=True)


class Tipped(BaseModel):
    tips: tuple[Tip, ...] = ()
    forced: tuple[Forced, ...] = ()
    rounded: Decimal = Decimal(0)

    @field_serializer("rounded")
    def _without_cents(self, rounded: Decimal) -> str:
        return f"{rounded:.0f}"


class Nothing(BaseModel):
    pass


class Transfer(BaseModel):
    """Money to where the table says. `shown_as` is the part of the description that says where."""

    shown_as: str


class Line(Detail):
    """A builder's own kind of detail."""


async def _paid(context: ActionContext, arguments: Euros) -> JsonValue:
    return arguments.amount


async def _booked(context: ActionContext, arguments: Slot) -> JsonValue:
    return arguments.slot_id


async def _done(context: ActionContext, arguments: BaseModel) -> JsonValue:
    return None


FACTS: defaultdict[str, dict[str, JsonValue]] = defaultdict(dict)
"""What the facts of a refund are besides its amount, by tenant."""


async def _about_refund(context: ActionContext, arguments: Any) -> dict[str, JsonValue]:
    return {"amount": float(arguments.amount), **FACTS[context.tenant]}


def refunds(arguments: type[BaseModel]) -> Package:
    """A package whose action takes these arguments."""
    refund = Action(
        name="refund",
        description="Give money back.",
        arguments=arguments,
        execute=_done,
        facts=_about_refund,
    )
    return Package(name="refunds", subgraphs=(), actions=(refund,))


plain = refunds(Refund)
with_default = refunds(RefundWithDefault)
with_reason = refunds(RefundWithReason)
small = refunds(SmallRefund)
bare = refunds(BareRefund)
computed = refunds(ComputedRefund)
shadowed = refunds(ShadowedRefund)
hidden = refunds(RefundWithHidden)


async def _decimal(context: ActionContext, arguments: Nothing) -> Any:
    return {"price": Decimal("12.50")}


async def _destination(context: ActionContext) -> int:
    found: int = await context.transaction.fetchval(
        "select amount from counter.effects where tenant = $1 and counter = 'destination'"
        " order by id desc limit 1",
        context.tenant,
    )
    return found


async def _described(context: ActionContext, arguments: Transfer) -> ActionDescription:
    to = str(await _destination(context))
    said: dict[str, Any] = {
        "title": "Transfer",
        "details": (Line(label="Hidden by\t \ufe0f", value="nothing"),),
        "amount": Decimal("1e1"),
        "currency": "EUR",
    }
    parts: dict[str, Any] = {
        "title": f"Transfer to {to}",
        "details": (Line(label="To", value=to),),
        "changes": (Change(what="Account", before=None, after=to),),
        "customer_title": {"en": f"Transfer to {to}"},
        "amount": Decimal(to),
        "currency": "EUR" if to == "111" else "USD",
    }
    if arguments.shown_as in parts:
        said[arguments.shown_as] = parts[arguments.shown_as]
    return ActionDescription(**said)


async def _transferred(context: ActionContext, arguments: Transfer) -> JsonValue:
    return await _destination(context)


def _refusing(context: ActionContext, arguments: Nothing) -> str:
    raise ActionRefused("There is no account.")


def _failing(context: ActionContext, arguments: Nothing) -> str:
    raise KeyError("account")


async def _customer(connection: Connection, tenant: str, customer: str) -> dict[str, JsonValue]:
    return {"tier": "gold"}


package = Package(
    name="odd",
    subgraphs=(),
    actions=(
        Action(name="pay_euros", description="Pay.", arguments=Euros, execute=_paid),
        Action(name="pay_cents", description="Pay.", arguments=Cents, execute=_done),
        Action(name="book_slot", description="Book.", arguments=Slot, execute=_booked),
        Action(name="pay_amount", description="Pay.", arguments=Amount, execute=_done),
        Action(name="tip", description="Tip.", arguments=Tipped, execute=_done),
        Action(
            name="price", description="Price.", arguments=Nothing, execute=_done, facts=_decimal
        ),
        Action(
            name="transfer",
            description="Transfer.",
            arguments=Transfer,
            execute=_transferred,
            describe=_described,
        ),
        Action(
            name="refuse", description="No.", arguments=Nothing, execute=_done, subject=_refusing
        ),
        Action(name="fail", description="No.", arguments=Nothing, execute=_done, subject=_failing),
    ),
    customer=_customer,
    customer_names=("tier",),
)
