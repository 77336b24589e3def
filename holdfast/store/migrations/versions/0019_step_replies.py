"""A step names the message with its reply in a column; those from before have it inside their outcome."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("alter table holdfast.steps add column reply_seq int")
