"""Whole data sets: loads `{products, users, orders}`, each a map by id, and dumps them again.

The form is that of the retail domain of tau2-bench. What is loaded comes out equal, lists in order
and amounts to the cent; an optional field that is null or missing is left out of the dump.
"""

from typing import Any

from holdfast import Connection

Dataset = dict[str, dict[str, Any]]
"""`products`, `users` and `orders`, each the records by id."""

LOAD_PRODUCTS = """
    insert into shop.products (tenant, product_id, name)
    select $1, key, value->>'name' from jsonb_each($2)
"""

LOAD_VARIANTS = """
    insert into shop.variants (tenant, item_id, product_id, options, available, price)
    select $1, v.key, p.key, v.value->'options', (v.value->>'available')::boolean,
        (v.value->>'price')::numeric
    from jsonb_each($2) p, jsonb_each(p.value->'variants') v
"""

LOAD_USERS = """
    insert into shop.users (tenant, user_id, first_name, last_name, email, address)
    select $1, key, value->'name'->>'first_name', value->'name'->>'last_name', value->>'email',
        value->'address'
    from jsonb_each($2)
"""

LOAD_PAYMENT_METHODS = """
    insert into shop.payment_methods
        (tenant, user_id, payment_method_id, source, brand, last_four, balance)
    select $1, u.key, m.key, m.value->>'source', m.value->>'brand', m.value->>'last_four',
        (m.value->>'balance')::numeric
    from jsonb_each($2) u, jsonb_each(u.value->'payment_methods') m
"""

# The full join leaves a null, which the table refuses, where an order is missing on either side.
LOAD_ORDERS = """
    insert into shop.orders (
        tenant, order_id, user_id, position, address, status, cancel_reason,
        return_items, return_payment_method_id,
        exchange_items, exchange_new_items, exchange_payment_method_id, exchange_price_difference
    )
    select $1, o.key, listed.user_id, listed.position, o.value->'address', o.value->>'status',
        o.value->>'cancel_reason',
        case jsonb_typeof(o.value->'return_items') when 'array'
            then array(select jsonb_array_elements_text(o.value->'return_items')) end,
        o.value->>'return_payment_method_id',
        case jsonb_typeof(o.value->'exchange_items') when 'array'
            then array(select jsonb_array_elements_text(o.value->'exchange_items')) end,
        case jsonb_typeof(o.value->'exchange_new_items') when 'array'
            then array(select jsonb_array_elements_text(o.value->'exchange_new_items')) end,
        o.value->>'exchange_payment_method_id',
        (o.value->>'exchange_price_difference')::numeric
    from jsonb_each($2) o full join (
        select u.key as user_id, placed.order_id, placed.position
        from jsonb_each($3) u,
            jsonb_array_elements_text(u.value->'orders')
                with ordinality placed (order_id, position)
    ) listed on listed.order_id = o.key and listed.user_id = o.value->>'user_id'
"""

LOAD_ORDER_ITEMS = """
    insert into shop.order_items
        (tenant, order_id, position, item_id, product_id, name, price, options)
    select $1, o.key, i.position, i.value->>'item_id', i.value->>'product_id', i.value->>'name',
        (i.value->>'price')::numeric, i.value->'options'
    from jsonb_each($2) o,
        jsonb_array_elements(o.value->'items') with ordinality i (value, position)
"""

LOAD_PAYMENTS = """
    insert into shop.payments
        (tenant, order_id, position, transaction_type, amount, payment_method_id)
    select $1, o.key, p.position, p.value->>'transaction_type', (p.value->>'amount')::numeric,
        p.value->>'payment_method_id'
    from jsonb_each($2) o,
        jsonb_array_elements(o.value->'payment_history') with ordinality p (value, position)
"""

LOAD_FULFILLMENTS = """
    insert into shop.fulfillments (tenant, order_id, position, tracking_ids, item_ids)
    select $1, o.key, f.position,
        array(select jsonb_array_elements_text(f.value->'tracking_id')),
        array(select jsonb_array_elements_text(f.value->'item_ids'))
    from jsonb_each($2) o,
        jsonb_array_elements(o.value->'fulfillments') with ordinality f (value, position)
"""

DUMP = """
    select
        (select coalesce(jsonb_object_agg(product_id, record), '{}')
         from shop.product_records where tenant = $1) as products,
        (select coalesce(jsonb_object_agg(user_id, record), '{}')
         from shop.user_records where tenant = $1) as users,
        (select coalesce(jsonb_object_agg(order_id, record), '{}')
         from shop.order_records where tenant = $1) as orders
"""


async def load_dataset(connection: Connection, tenant: str, data: Dataset) -> None:
    """Insert all of `data` for a tenant that has none of these ids yet, or nothing at all.

    `connection` speaks JSON, as those of Holdfast's pools do. The set goes over as JSON and Postgres
    takes it apart: such connections cannot COPY into a jsonb column.

    Raises:
        asyncpg.IntegrityConstraintViolationError: an id is taken, or a reference points nowhere.
    """
    async with connection.transaction():
        for statement in (LOAD_PRODUCTS, LOAD_VARIANTS):
            await connection.execute(statement, tenant, data["products"])
        for statement in (LOAD_USERS, LOAD_PAYMENT_METHODS):
            await connection.execute(statement, tenant, data["users"])
        await connection.execute(LOAD_ORDERS, tenant, data["orders"], data["users"])
        for statement in (LOAD_ORDER_ITEMS, LOAD_PAYMENTS, LOAD_FULFILLMENTS):
            await connection.execute(statement, tenant, data["orders"])


async def dump_dataset(connection: Connection, tenant: str) -> Dataset:
    """Everything the shop knows of a tenant, in the form that `load_dataset` takes."""
    row = await connection.fetchrow(DUMP, tenant)
    return dict(row) if row else {}
