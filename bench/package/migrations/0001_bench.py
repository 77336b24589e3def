"""What the measured action adds."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        create table bench.effects (
            id bigint generated always as identity primary key,
            tenant text not null,
            counter text not null,
            amount int not null
        )
        """
    )
    op.execute("create index on bench.effects (tenant, counter)")
