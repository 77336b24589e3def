"""The fleet: what each worker process serves, and what was handed back since nobody there had it."""

from alembic import op

revision = "0012"
down_revision = "0008"

STATEMENTS = [
    """
    create table holdfast.workers (
        scope text not null,
        build text not null,
        worker text not null,
        served jsonb not null,
        capacity int not null default 0,
        started_at timestamptz not null default now(),
        seen_at timestamptz not null default now(),
        left_at timestamptz,
        primary key (scope, worker)
    )
    """,
    "alter table holdfast.conversations add column scope text",
    "alter table holdfast.attempts add column handed_back int not null default 0, add column lacking text",
    "create index on holdfast.attempts (begun_at) where lacking is not null",
    """
    create index on holdfast.actions (tenant, conversation, turn, step) where state = 'proposed'
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
