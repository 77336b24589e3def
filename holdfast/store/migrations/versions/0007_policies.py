"""The texts of policies, so that an action is judged again by the version that it was asked under."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        """
        create table holdfast.policies (
            tenant text not null,
            digest text not null,
            name text not null,
            version int not null,
            text text not null,
            first_used_at timestamptz not null default now(),
            primary key (tenant, digest)
        )
        """
    )
