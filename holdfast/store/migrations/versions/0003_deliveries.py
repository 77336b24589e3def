"""Deliveries of notifications: what is to be sent, and what came of it."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = [
    """
    create table holdfast.deliveries (
        tenant text not null,
        id text not null,
        batch text not null,
        conversation text not null,
        approval text not null,
        kind text not null,
        channel text not null,
        recipient text,
        payload jsonb not null,
        state text not null default 'pending',
        attempts int not null default 0,
        last_status int,
        last_error text,
        patience interval not null,
        created_at timestamptz not null default now(),
        driven_at timestamptz not null default now(),
        attempted_at timestamptz,
        settled_at timestamptz,
        primary key (tenant, id)
    )
    """,
    "create index on holdfast.deliveries (tenant, created_at)",
    "create index on holdfast.deliveries (tenant, state, created_at) where state <> 'delivered'",
    "create index on holdfast.deliveries (driven_at) where state = 'pending'",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
