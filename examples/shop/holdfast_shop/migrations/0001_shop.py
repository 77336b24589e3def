"""The shop's tables, and the views that show a user, a product or an order as one JSON record."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = [
    "create schema if not exists shop",
    """
    create table shop.users (
        tenant text not null,
        user_id text not null,
        first_name text not null,
        last_name text not null,
        email text not null,
        address jsonb not null,
        primary key (tenant, user_id)
    )
    """,
    "create index users_by_email on shop.users (tenant, lower(email))",
    """
    create table shop.payment_methods (
        tenant text not null,
        user_id text not null,
        payment_method_id text not null,
        source text not null check (source in ('credit_card', 'paypal', 'gift_card')),
        brand text,
        last_four text,
        balance numeric(12, 2) check (balance >= 0),
        primary key (tenant, user_id, payment_method_id),
        foreign key (tenant, user_id) references shop.users,
        check ((source = 'gift_card') = (balance is not null))
    )
    """,
    """
    create table shop.products (
        tenant text not null,
        product_id text not null,
        name text not null,
        primary key (tenant, product_id)
    )
    """,
    """
    create table shop.variants (
        tenant text not null,
        item_id text not null,
        product_id text not null,
        options jsonb not null,
        available boolean not null,
        price numeric(12, 2) not null check (price >= 0),
        primary key (tenant, item_id),
        foreign key (tenant, product_id) references shop.products
    )
    """,
    "create index variants_by_product on shop.variants (tenant, product_id)",
    """
    create table shop.orders (
        tenant text not null,
        order_id text not null,
        user_id text not null,
        position int not null,
        address jsonb not null,
        status text not null check (status in (
            'pending', 'pending (item modified)', 'processed', 'delivered', 'cancelled',
            'return requested', 'exchange requested'
        )),
        cancel_reason text,
        return_items text[],
        return_payment_method_id text,
        exchange_items text[],
        exchange_new_items text[],
        exchange_payment_method_id text,
        exchange_price_difference numeric(12, 2),
        primary key (tenant, order_id),
        unique (tenant, user_id, position),
        foreign key (tenant, user_id) references shop.users
    )
    """,
    "comment on column shop.orders.position is 'Counts the orders of a user, oldest first.'",
    """
    create table shop.order_items (
        tenant text not null,
        order_id text not null,
        position int not null,
        item_id text not null,
        product_id text not null,
        name text not null,
        price numeric(12, 2) not null,
        options jsonb not null,
        primary key (tenant, order_id, position),
        foreign key (tenant, order_id) references shop.orders
    )
    """,
    """
    create table shop.payments (
        tenant text not null,
        order_id text not null,
        position int not null,
        transaction_type text not null check (transaction_type in ('payment', 'refund')),
        amount numeric(12, 2) not null check (amount >= 0),
        payment_method_id text not null,
        primary key (tenant, order_id, position),
        foreign key (tenant, order_id) references shop.orders
    )
    """,
    """
    create table shop.fulfillments (
        tenant text not null,
        order_id text not null,
        position int not null,
        tracking_ids text[] not null,
        item_ids text[] not null,
        primary key (tenant, order_id, position),
        foreign key (tenant, order_id) references shop.orders
    )
    """,
]

VIEWS = [
    """
    create view shop.user_records as
    select u.tenant, u.user_id, jsonb_build_object(
        'user_id', u.user_id,
        'name', jsonb_build_object('first_name', u.first_name, 'last_name', u.last_name),
        'address', u.address,
        'email', u.email,
        'payment_methods', coalesce((
            select jsonb_object_agg(m.payment_method_id, jsonb_strip_nulls(jsonb_build_object(
                'id', m.payment_method_id, 'source', m.source, 'brand', m.brand,
                'last_four', m.last_four, 'balance', m.balance
            )))
            from shop.payment_methods m where m.tenant = u.tenant and m.user_id = u.user_id
        ), '{}'),
        'orders', coalesce((
            select jsonb_agg(o.order_id order by o.position)
            from shop.orders o where o.tenant = u.tenant and o.user_id = u.user_id
        ), '[]')
    ) as record
    from shop.users u
    """,
    """
    create view shop.variant_records as
    select v.tenant, v.item_id, v.product_id, jsonb_build_object(
        'item_id', v.item_id, 'options', v.options, 'available', v.available, 'price', v.price
    ) as record
    from shop.variants v
    """,
    """
    create view shop.product_records as
    select p.tenant, p.product_id, jsonb_build_object(
        'name', p.name,
        'product_id', p.product_id,
        'variants', coalesce((
            select jsonb_object_agg(v.item_id, v.record)
            from shop.variant_records v
            where v.tenant = p.tenant and v.product_id = p.product_id
        ), '{}')
    ) as record
    from shop.products p
    """,
    """
    create view shop.order_records as
    select o.tenant, o.order_id, o.user_id, jsonb_strip_nulls(jsonb_build_object(
        'order_id', o.order_id,
        'user_id', o.user_id,
        'address', o.address,
        'items', coalesce((
            select jsonb_agg(jsonb_build_object(
                'name', i.name, 'product_id', i.product_id, 'item_id', i.item_id,
                'price', i.price, 'options', i.options
            ) order by i.position)
            from shop.order_items i where i.tenant = o.tenant and i.order_id = o.order_id
        ), '[]'),
        'status', o.status,
        'fulfillments', coalesce((
            select jsonb_agg(jsonb_build_object(
                'tracking_id', f.tracking_ids, 'item_ids', f.item_ids
            ) order by f.position)
            from shop.fulfillments f where f.tenant = o.tenant and f.order_id = o.order_id
        ), '[]'),
        'payment_history', coalesce((
            select jsonb_agg(jsonb_build_object(
                'transaction_type', p.transaction_type, 'amount', p.amount,
                'payment_method_id', p.payment_method_id
            ) order by p.position)
            from shop.payments p where p.tenant = o.tenant and p.order_id = o.order_id
        ), '[]'),
        'cancel_reason', o.cancel_reason,
        'return_items', o.return_items,
        'return_payment_method_id', o.return_payment_method_id,
        'exchange_items', o.exchange_items,
        'exchange_new_items', o.exchange_new_items,
        'exchange_payment_method_id', o.exchange_payment_method_id,
        'exchange_price_difference', o.exchange_price_difference
    )) as record
    from shop.orders o
    """,
]


def upgrade() -> None:
    for statement in [*TABLES, *VIEWS]:
        op.execute(statement)
