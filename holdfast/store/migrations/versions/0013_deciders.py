"""Statements that are spent: of decisions that were refused, and of what people did in conversations."""

from alembic import op

revision = "0013"
down_revision = "0012"

STATEMENTS = [
    """
    create table holdfast.spent_statements (
        tenant text not null,
        digest text not null,
        spent_by text not null,
        spent_at timestamptz not null default now(),
        primary key (tenant, digest)
    )
    """,
    "create index on holdfast.spent_statements (spent_at)",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
