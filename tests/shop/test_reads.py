"""What the reads find, and what they do not show."""

import json
from typing import Any

import pytest

from holdfast import Connection, ReadError, Tool
from holdfast_shop.demo_data import (
    CUSTOMER,
    CUSTOMER_EMAIL,
    ORDER_ON_ITS_WAY,
    OTHER_CUSTOMER,
    OTHER_EMAIL,
    OTHER_ORDER,
    OTHER_ZIP,
    TRACKING_ID,
)
from holdfast_shop.reads import READS
from tests.shop.acting import DATA, read, variant


async def test_a_customer_is_found_by_email_whatever_its_case(connection: Connection) -> None:
    found = await read(connection, "find_user_id_by_email", {"email": CUSTOMER_EMAIL.upper()})
    assert found == CUSTOMER


async def test_a_customer_is_found_by_name_and_zip(connection: Connection) -> None:
    arguments = {"first_name": "mara", "last_name": "LIND", "zip": "97214"}
    assert await read(connection, "find_user_id_by_name_zip", arguments) == CUSTOMER


async def test_details_are_the_whole_record(connection: Connection) -> None:
    profile = await read(connection, "get_user_details", {"user_id": CUSTOMER})
    assert profile == DATA["users"][CUSTOMER]
    order = await read(connection, "get_order_details", {"order_id": ORDER_ON_ITS_WAY})
    assert order == DATA["orders"][ORDER_ON_ITS_WAY]
    assert TRACKING_ID in json.dumps(order)
    product_id, product = next(iter(DATA["products"].items()))
    assert await read(connection, "get_product_details", {"product_id": product_id}) == product
    item_id = variant("Ceramic Mug", glaze="blue", volume="400ml")
    item = await read(connection, "get_item_details", {"item_id": item_id})
    assert isinstance(item, dict)
    assert item["options"] == {"glaze": "blue", "volume": "400ml"}


async def test_product_types_are_a_json_text_sorted_by_name(connection: Connection) -> None:
    text = await read(connection, "list_all_product_types", {})
    assert isinstance(text, str)
    types = json.loads(text)
    assert list(types) == sorted(types)
    assert set(types.values()) == set(DATA["products"])


async def test_a_transfer_is_acknowledged(connection: Connection) -> None:
    assert await read(connection, "transfer_to_human_agents", {"summary": "A broken lamp."}) == (
        "Transfer successful"
    )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("find_user_id_by_email", {"email": "no@example.com"}, "User not found"),
        ("find_user_id_by_email", {"email": OTHER_EMAIL}, "User not found"),
        (
            "find_user_id_by_name_zip",
            {"first_name": "Tomas", "last_name": "Berg", "zip": OTHER_ZIP},
            "User not found",
        ),
        ("get_user_details", {"user_id": "nobody_here_1"}, "User not found"),
        ("get_user_details", {"user_id": OTHER_CUSTOMER}, "User not found"),
        ("get_order_details", {"order_id": "W4821101"}, "Order not found"),
        ("get_order_details", {"order_id": OTHER_ORDER}, "Order not found"),
        ("get_product_details", {"product_id": "0"}, "Product not found"),
        ("get_item_details", {"item_id": "0"}, "Item not found"),
        ("calculate", {"expression": "__import__('os')"}, "Invalid characters in expression"),
    ],
)
async def test_what_is_missing_or_not_the_customers_own_is_not_found(
    connection: Connection, name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReadError) as error:
        await read(connection, name, arguments)
    assert str(error.value) == message


async def test_another_tenants_products_do_not_exist(connection: Connection) -> None:
    item_id = variant("Ceramic Mug", glaze="blue", volume="400ml")
    with pytest.raises(ReadError, match=r"^Item not found$"):
        await read(connection, "get_item_details", {"item_id": item_id}, tenant="elsewhere")
    assert await read(connection, "list_all_product_types", {}, tenant="elsewhere") == "{}"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1319.43 - 302.67 + 271.89", "1288.65"),
        ("0.1 + 0.2", "0.3"),
        ("2 * (3 + 4) / 4", "3.5"),
        ("-(2 - 5)", "3.0"),
        ("10 / 3", "3.33"),
        (" 7 ", "7.0"),
    ],
)
async def test_calculate_is_exact_to_the_cent(
    connection: Connection, expression: str, value: str
) -> None:
    assert await read(connection, "calculate", {"expression": expression}) == value


@pytest.mark.parametrize("expression", ["", "1 +", "1 / 0", "9 ** 9", "1 // 2", "()", "(" * 150])
async def test_calculate_refuses_what_is_not_arithmetic(
    connection: Connection, expression: str
) -> None:
    with pytest.raises(ReadError, match=r"^Invalid expression$"):
        await read(connection, "calculate", {"expression": expression})


def test_every_read_describes_itself_to_a_model() -> None:
    assert len({read.name for read in READS}) == 9
    for each in READS:
        tool = Tool.of(each.arguments, name=each.name, description=each.description)
        for field in tool.parameters["properties"].values():
            assert field["description"]
