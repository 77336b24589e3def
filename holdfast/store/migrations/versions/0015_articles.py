"""Help-centre documents belong to a package; those from before to none, until one with their ids is loaded."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute(
        "alter table holdfast.knowledge_documents add column package text not null default ''"
    )
