"""Attempts at recording something: a late one must not undo what came after it."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        """
        create table holdfast.attempts (
            tenant text not null,
            conversation text not null,
            activity text not null,
            attempt int not null,
            begun_at timestamptz not null default now(),
            primary key (tenant, conversation, activity)
        )
        """
    )
    op.execute("create index on holdfast.attempts (begun_at)")
