"""An execution counts how often taking it back was begun on another system."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("alter table holdfast.executions add column undo_tries int not null default 0")
