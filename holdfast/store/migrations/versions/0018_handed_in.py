"""Decisions as clients hand them in, where silence would be taken for consent."""

from alembic import op

revision = "0018"
down_revision = "0017"

STATEMENTS = [
    """
    create table holdfast.handed_in (
        tenant text not null,
        approval text not null,
        decision text not null,
        reviewer text not null,
        roles text[] not null,
        handed_in_at timestamptz not null default now(),
        primary key (tenant, approval, decision, reviewer, roles)
    )
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
