"""Changing where things go: the address of a pending order, or a customer's default address."""

from pydantic import BaseModel, JsonValue

from holdfast import ActionContext, ActionDescription, ActionRefused
from holdfast_shop import descriptions
from holdfast_shop.arguments import ModifyPendingOrderAddress, ModifyUserAddress, address_in_words
from holdfast_shop.records import NotYourProfile, own_order


class AddressBefore(BaseModel):
    """The part of a change's result that undoing it needs."""

    address_before: dict[str, str]


async def change_order_address(
    ctx: ActionContext, arguments: ModifyPendingOrderAddress
) -> JsonValue:
    order = await own_order(ctx, arguments.order_id, lock=True)
    order.require_modifiable()
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


async def order_address_facts(
    ctx: ActionContext, arguments: ModifyPendingOrderAddress
) -> dict[str, JsonValue]:
    order = await own_order(ctx, arguments.order_id, lock=False)
    order.require_modifiable()
    return {
        "customer": order.customer_name,
        "order_id": order.order_id,
        "items": [item.name for item in order.items],
        "before": address_in_words(order.address),
        "after": arguments.in_words(),
    }


async def describe_order_address(
    ctx: ActionContext, arguments: ModifyPendingOrderAddress
) -> ActionDescription:
    order = await own_order(ctx, arguments.order_id, lock=False)
    order.require_modifiable()
    return descriptions.order_address(order, arguments)


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


async def change_user_address(ctx: ActionContext, arguments: ModifyUserAddress) -> JsonValue:
    _, before = await _own_address(ctx, arguments, lock=True)
    await ctx.transaction.execute(
        "update shop.users set address = $3 where tenant = $1 and user_id = $2",
        ctx.tenant,
        arguments.user_id,
        arguments.as_record(),
    )
    return {
        "user_id": arguments.user_id,
        "address_before": {**before},
        "message": f"Your default address is now {arguments.in_words()}. "
        "Orders placed before keep theirs.",
    }


async def user_address_facts(
    ctx: ActionContext, arguments: ModifyUserAddress
) -> dict[str, JsonValue]:
    name, before = await _own_address(ctx, arguments, lock=False)
    return {"customer": name, "before": address_in_words(before), "after": arguments.in_words()}


async def describe_user_address(
    ctx: ActionContext, arguments: ModifyUserAddress
) -> ActionDescription:
    name, before = await _own_address(ctx, arguments, lock=False)
    return descriptions.user_address(name, before, arguments)


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


async def _own_address(
    ctx: ActionContext, arguments: ModifyUserAddress, *, lock: bool
) -> tuple[str, dict[str, str]]:
    """The name of the user, who must be the conversation's customer, and their default address."""
    row = await ctx.transaction.fetchrow(
        "select first_name || ' ' || last_name as name, address "
        "from shop.users where tenant = $1 and user_id = $2" + (" for update" if lock else ""),
        ctx.tenant,
        arguments.user_id,
    )
    if row is None:
        raise ActionRefused("User not found")
    if arguments.user_id != ctx.customer:
        raise NotYourProfile(f"The profile {arguments.user_id} belongs to another customer")
    return row["name"], row["address"]
