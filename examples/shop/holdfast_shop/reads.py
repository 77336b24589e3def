"""What the shop's agents may look up: nine reads, none of which shows another customer's record."""

import json
from typing import Annotated, Any

from pydantic import Field, JsonValue

from holdfast import Read, ReadError, TurnContext
from holdfast_shop.arguments import Arguments, ItemId, OrderId, ProductId, Text, UserId, Zip
from holdfast_shop.calculator import CannotCalculate
from holdfast_shop.calculator import calculate as evaluate


class Email(Arguments):
    email: Annotated[
        Text,
        Field(
            description="The e-mail address of the customer's account.",
            examples=["mara.lind@example.com"],
            json_schema_extra={"pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"},
        ),
    ]


class NameAndZip(Arguments):
    first_name: Annotated[Text, Field(description="The first name.", examples=["Mara"])]
    last_name: Annotated[Text, Field(description="The last name.", examples=["Lind"])]
    zip: Zip


class User(Arguments):
    user_id: UserId


class Order(Arguments):
    order_id: OrderId


class Product(Arguments):
    product_id: ProductId


class Item(Arguments):
    item_id: ItemId


class Nothing(Arguments):
    pass


class Expression(Arguments):
    expression: Annotated[
        Text,
        Field(
            description="Numbers, + - * /, parentheses and spaces.",
            examples=["(49.99 + 12.5) * 2"],
            json_schema_extra={"pattern": r"^[0-9+\-*/(). ]+$"},
        ),
    ]


class Summary(Arguments):
    summary: Annotated[
        str,
        Field(max_length=2_000, description="What the customer wants, for the person taking over."),
    ]


async def _find_by_email(context: TurnContext, arguments: Email) -> JsonValue:
    return await _found(
        "User not found",
        context,
        "select user_id from shop.users where tenant = $1 and user_id = $2 and lower(email) = lower($3)",
        context.customer,
        arguments.email,
    )


async def _find_by_name_zip(context: TurnContext, arguments: NameAndZip) -> JsonValue:
    return await _found(
        "User not found",
        context,
        """
        select user_id from shop.users
        where tenant = $1 and user_id = $2 and lower(first_name) = lower($3)
            and lower(last_name) = lower($4) and address->>'zip' = $5
        """,
        context.customer,
        arguments.first_name,
        arguments.last_name,
        arguments.zip,
    )


async def _user_details(context: TurnContext, arguments: User) -> JsonValue:
    return await _found(
        "User not found",
        context,
        "select record from shop.user_records where tenant = $1 and user_id = $2 and user_id = $3",
        arguments.user_id,
        context.customer,
    )


async def _order_details(context: TurnContext, arguments: Order) -> JsonValue:
    return await _found(
        "Order not found",
        context,
        "select record from shop.order_records where tenant = $1 and order_id = $2 and user_id = $3",
        arguments.order_id,
        context.customer,
    )


async def _product_details(context: TurnContext, arguments: Product) -> JsonValue:
    return await _found(
        "Product not found",
        context,
        "select record from shop.product_records where tenant = $1 and product_id = $2",
        arguments.product_id,
    )


async def _item_details(context: TurnContext, arguments: Item) -> JsonValue:
    return await _found(
        "Item not found",
        context,
        "select record from shop.variant_records where tenant = $1 and item_id = $2",
        arguments.item_id,
    )


async def _product_types(context: TurnContext, arguments: Nothing) -> JsonValue:
    async with context.reads.connection() as connection:
        rows = await connection.fetch(
            "select name, product_id from shop.products where tenant = $1", context.tenant
        )
    return json.dumps({row["name"]: row["product_id"] for row in rows}, sort_keys=True)


async def _calculate(context: TurnContext, arguments: Expression) -> JsonValue:
    try:
        return evaluate(arguments.expression)
    except CannotCalculate as error:
        raise ReadError(str(error)) from error


async def _transfer(context: TurnContext, arguments: Summary) -> JsonValue:
    return "Transfer successful"


async def _found(missing: str, context: TurnContext, query: str, *values: str) -> JsonValue:
    """What the query finds for the tenant, its $1."""
    async with context.reads.connection() as connection:
        value: JsonValue = await connection.fetchval(query, context.tenant, *values)
    if value is None:
        raise ReadError(missing)
    return value


TRANSFER = Read(
    name="transfer_to_human_agents",
    description="Hand the customer over to a person, only when what they want is beyond "
    "the other tools, or when they insist.",
    arguments=Summary,
    run=_transfer,
    lenient=True,
)

READS: tuple[Read[Any], ...] = (
    Read(
        name="find_user_id_by_email",
        description="Find the customer's user id by the e-mail address of their account.",
        arguments=Email,
        run=_find_by_email,
    ),
    Read(
        name="find_user_id_by_name_zip",
        description="Find the customer's user id by first name, last name and zip code. "
        "Use it when the customer does not remember their e-mail address.",
        arguments=NameAndZip,
        run=_find_by_name_zip,
    ),
    Read(
        name="get_user_details",
        description="Get the customer's profile: name, default address, e-mail address, payment "
        "methods with gift card balances, and the ids of their orders, oldest first.",
        arguments=User,
        run=_user_details,
    ),
    Read(
        name="get_order_details",
        description="Get an order of the customer: its status, items with prices and options, "
        "shipping address, tracking ids, payments and refunds.",
        arguments=Order,
        run=_order_details,
    ),
    Read(
        name="get_product_details",
        description="Get a product and all of its variants: item ids, options, prices and "
        "whether each is available.",
        arguments=Product,
        run=_product_details,
    ),
    Read(
        name="get_item_details",
        description="Get one item, that is one variant of a product: options, price, availability.",
        arguments=Item,
        run=_item_details,
    ),
    Read(
        name="list_all_product_types",
        description="List the names of all products that the shop sells, with their product ids.",
        arguments=Nothing,
        run=_product_types,
    ),
    Read(
        name="calculate",
        description="Calculate the value of an arithmetic expression, such as a sum of prices.",
        arguments=Expression,
        run=_calculate,
    ),
    TRANSFER,
)
