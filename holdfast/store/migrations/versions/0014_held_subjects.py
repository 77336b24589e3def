"""An execution on another system names the subject that it holds, and counts its tries; an action that was
edited keeps the arguments that were proposed."""

from alembic import op

revision = "0014"
down_revision = "0013"

STATEMENTS = [
    """
    alter table holdfast.executions
        add column subject text, add column tries int not null default 1
    """,
    """
    create index on holdfast.executions (tenant, subject) where state in ('sending', 'undoing')
    """,
    "alter table holdfast.actions add column proposed jsonb",
    """
    create index on holdfast.actions (tenant, name, updated_at)
     where state in ('executed', 'failed')
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
