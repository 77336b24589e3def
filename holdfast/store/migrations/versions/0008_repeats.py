"""Actions are found by their customer, and name the earlier one that they repeat; a step keeps what stood
when its graph was started, so that the graph is told the same on every try."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = [
    "alter table holdfast.actions add column customer text, add column repeats text",
    """
    update holdfast.actions as action set customer = conversation.customer
      from holdfast.conversations as conversation
     where conversation.tenant = action.tenant and conversation.id = action.conversation
    """,
    "create index on holdfast.actions (tenant, customer, created_at) where state = 'proposed'",
    """
    create index on holdfast.actions (tenant, customer, created_at)
     where state in ('executed', 'failed')
    """,
    "alter table holdfast.steps add column standing jsonb",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
