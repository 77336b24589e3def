"""One row for every effect, so that doing something twice shows."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        create table counter.effects (
            id bigint generated always as identity primary key,
            tenant text not null,
            counter text not null,
            amount int not null
        )
        """
    )
