"""What the shop's agents may look up: nine reads, none of which shows another customer's record."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field, JsonValue

from holdfast import Connection
from holdfast_shop.arguments import Arguments, ItemId, OrderId, ProductId, Text, UserId, Zip
from holdfast_shop.calculator import CannotCalculate
from holdfast_shop.calculator import calculate as evaluate

ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)


class ReadError(Exception):
    """A read has no answer: "Order not found", say. The model may be told the message."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose records a read may show."""

    tenant: str
    customer: str


@dataclass(frozen=True, kw_only=True)
class Read(Generic[ArgumentsT]):
    """A read, by name. `run` returns a JSON value or raises `ReadError`."""

    name: str
    description: str
    arguments: type[ArgumentsT]
    run: Callable[[Connection, Scope, ArgumentsT], Awaitable[JsonValue]]


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


async def _find_by_email(connection: Connection, scope: Scope, arguments: Email) -> JsonValue:
    return await _found(
        "User not found",
        connection,
        "select user_id from shop.users where tenant = $1 and user_id = $2 and lower(email) = lower($3)",
        scope.tenant,
        scope.customer,
        arguments.email,
    )


async def _find_by_name_zip(
    connection: Connection, scope: Scope, arguments: NameAndZip
) -> JsonValue:
    return await _found(
        "User not found",
        connection,
        """
        select user_id from shop.users
        where tenant = $1 and user_id = $2 and lower(first_name) = lower($3)
            and lower(last_name) = lower($4) and address->>'zip' = $5
        """,
        scope.tenant,
        scope.customer,
        arguments.first_name,
        arguments.last_name,
        arguments.zip,
    )


async def _user_details(connection: Connection, scope: Scope, arguments: User) -> JsonValue:
    return await _found(
        "User not found",
        connection,
        "select record from shop.user_records where tenant = $1 and user_id = $2 and user_id = $3",
        scope.tenant,
        arguments.user_id,
        scope.customer,
    )


async def _order_details(connection: Connection, scope: Scope, arguments: Order) -> JsonValue:
    return await _found(
        "Order not found",
        connection,
        "select record from shop.order_records where tenant = $1 and order_id = $2 and user_id = $3",
        scope.tenant,
        arguments.order_id,
        scope.customer,
    )


async def _product_details(connection: Connection, scope: Scope, arguments: Product) -> JsonValue:
    return await _found(
        "Product not found",
        connection,
        "select record from shop.product_records where tenant = $1 and product_id = $2",
        scope.tenant,
        arguments.product_id,
    )


async def _item_details(connection: Connection, scope: Scope, arguments: Item) -> JsonValue:
    return await _found(
        "Item not found",
        connection,
        "select record from shop.variant_records where tenant = $1 and item_id = $2",
        scope.tenant,
        arguments.item_id,
    )


async def _product_types(connection: Connection, scope: Scope, arguments: Nothing) -> JsonValue:
    rows = await connection.fetch(
        "select name, product_id from shop.products where tenant = $1", scope.tenant
    )
    return json.dumps({row["name"]: row["product_id"] for row in rows}, sort_keys=True)


async def _calculate(connection: Connection, scope: Scope, arguments: Expression) -> JsonValue:
    try:
        return evaluate(arguments.expression)
    except CannotCalculate as error:
        raise ReadError(str(error)) from error


async def _transfer(connection: Connection, scope: Scope, arguments: Summary) -> JsonValue:
    return "Transfer successful"


async def _found(missing: str, connection: Connection, query: str, *values: str) -> JsonValue:
    value: JsonValue = await connection.fetchval(query, *values)
    if value is None:
        raise ReadError(missing)
    return value


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
    Read(
        name="transfer_to_human_agents",
        description="Hand the customer over to a person, only when what they want is beyond "
        "the other tools, or when they insist.",
        arguments=Summary,
        run=_transfer,
    ),
)
"""The reads by the names that the model calls them."""
