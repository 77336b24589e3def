"""Presence: which session's process works on which activities, so that its death is noticed at once."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute(
        """
        create unlogged table holdfast.presence (
            scope text not null,
            pid int not null,
            session_start timestamptz not null,
            server_start timestamptz not null,
            task_token bytea not null,
            primary key (pid, task_token)
        )
        """
    )
