"""Changing where things go: the address of a pending order, or a customer's default address."""

from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

from holdfast import ActionContext, ActionRefused, Plan
from holdfast_shop.arguments import ModifyPendingOrderAddress, ModifyUserAddress, address_in_words
from holdfast_shop.records import NotYourProfile, Order, own_order


class AddressBefore(BaseModel):
    """The part of a change's result that undoing it needs."""

    address_before: dict[str, str]


async def _modifiable_order(ctx: ActionContext, arguments: ModifyPendingOrderAddress) -> Order:
    order = await own_order(ctx, arguments.order_id)
    order.require_modifiable()
    return order


ORDER_ADDRESS = Plan(_modifiable_order)


async def change_order_address(
    ctx: ActionContext, arguments: ModifyPendingOrderAddress, order: Order
) -> JsonValue:
    await ctx.transaction.execute(
        "update shop.orders set address = $3 where tenant = $1 and order_id = $2",
        ctx.tenant,
        order.order_id,
        arguments.as_record(),
    )
    return {
        "order_id": order.order_id,
        "status": order.status,
        "address_before": {**order.address},
        "message": f"Order {order.order_id} will be shipped to {arguments.in_words()}.",
    }


def order_address_facts(arguments: ModifyPendingOrderAddress, order: Order) -> dict[str, JsonValue]:
    return {
        "customer": order.customer_name,
        "order_id": order.order_id,
        "items": [item.name for item in order.items],
        "before": address_in_words(order.address),
        "after": arguments.in_words(),
    }


async def restore_order_address(
    ctx: ActionContext, arguments: ModifyPendingOrderAddress, result: JsonValue
) -> None:
    """Undo `change_order_address`, unless the address was changed once more since."""
    await ctx.transaction.execute(
        "update shop.orders set address = $4 where tenant = $1 and order_id = $2 and address = $3",
        ctx.tenant,
        arguments.order_id,
        arguments.as_record(),
        AddressBefore.model_validate(result).address_before,
    )


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A customer's name and default address."""

    name: str
    address: dict[str, str]


async def _own_profile(ctx: ActionContext, arguments: ModifyUserAddress) -> Profile:
    """The profile, which must be the conversation's customer's."""
    row = await ctx.transaction.fetchrow(
        "select first_name || ' ' || last_name as name, address from shop.users "
        "where tenant = $1 and user_id = $2" + ("" if ctx.read_only else " for update"),
        ctx.tenant,
        arguments.user_id,
    )
    if row is None:
        raise ActionRefused("User not found")
    if arguments.user_id != ctx.customer:
        raise NotYourProfile(f"The profile {arguments.user_id} belongs to another customer")
    return Profile(**row)


USER_ADDRESS = Plan(_own_profile)


async def change_user_address(
    ctx: ActionContext, arguments: ModifyUserAddress, profile: Profile
) -> JsonValue:
    await ctx.transaction.execute(
        "update shop.users set address = $3 where tenant = $1 and user_id = $2",
        ctx.tenant,
        arguments.user_id,
        arguments.as_record(),
    )
    return {
        "user_id": arguments.user_id,
        "address_before": {**profile.address},
        "message": f"Your default address is now {arguments.in_words()}. "
        "Orders placed before keep theirs.",
    }


def user_address_facts(arguments: ModifyUserAddress, profile: Profile) -> dict[str, JsonValue]:
    return {
        "customer": profile.name,
        "before": address_in_words(profile.address),
        "after": arguments.in_words(),
    }


async def restore_user_address(
    ctx: ActionContext, arguments: ModifyUserAddress, result: JsonValue
) -> None:
    """Undo `change_user_address`, unless the address was changed once more since."""
    await ctx.transaction.execute(
        "update shop.users set address = $4 where tenant = $1 and user_id = $2 and address = $3",
        ctx.tenant,
        arguments.user_id,
        arguments.as_record(),
        AddressBefore.model_validate(result).address_before,
    )
