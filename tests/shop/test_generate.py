"""The demonstration's data: the same for everybody, and whole."""

from uuid import uuid4

from holdfast import Connection
from holdfast.domain.ids import is_id
from holdfast_shop import demo_data
from holdfast_shop.dataset import dump_dataset
from holdfast_shop.generate import STATUSES, generate, seed


def test_equal_seeds_give_equal_data() -> None:
    assert generate() == generate()
    assert generate(1) != generate(2)


def test_the_story_is_the_same_for_every_seed() -> None:
    for number in range(5):
        data = generate(number)
        assert {table: len(rows) for table, rows in data.items()} == {
            "users": 30,
            "products": 15,
            "orders": 60,
        }
        orders = data["orders"]
        assert data["users"][demo_data.CUSTOMER]["orders"] == [
            demo_data.ORDER_ON_ITS_WAY,
            demo_data.ORDER_TO_READDRESS,
            demo_data.ORDER_TO_CANCEL,
            demo_data.ORDER_TO_RETURN,
            demo_data.LARGE_ORDER,
            demo_data.SMALL_ORDER,
        ]
        shipped = orders[demo_data.ORDER_ON_ITS_WAY]
        assert shipped["fulfillments"][0]["tracking_id"] == [demo_data.TRACKING_ID]
        assert orders[demo_data.ORDER_TO_CANCEL]["payment_history"][0]["amount"] > 100
        assert orders[demo_data.LARGE_ORDER]["payment_history"][0]["amount"] > 1000
        assert orders[demo_data.SMALL_ORDER]["payment_history"][0]["amount"] < 100


def test_orders_come_in_every_state_and_ids_can_be_customers() -> None:
    data = generate()
    assert {order["status"] for order in data["orders"].values()} == set(STATUSES)
    assert all(is_id(user) for user in data["users"])


async def test_seeding_fills_a_tenant_once(connection: Connection) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    await seed(connection, tenant)
    await connection.execute(
        "update shop.orders set status = 'processed' where tenant = $1", tenant
    )
    before = await dump_dataset(connection, tenant)
    await seed(connection, tenant)
    assert await dump_dataset(connection, tenant) == before


async def test_generated_data_comes_out_as_it_went_in(connection: Connection) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    await seed(connection, tenant)
    assert await dump_dataset(connection, tenant) == generate()
