"""An execution keeps the facts that it was permitted with, which windows count."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("alter table holdfast.executions add column facts jsonb")
