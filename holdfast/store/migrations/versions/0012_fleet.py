"""The fleet: what each worker serves, what was handed back, and which messages are under way."""

from alembic import op

revision = "0012"
down_revision = "0011"

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
    """
    create unlogged table holdfast.admissions (
        scope text not null,
        tenant text not null,
        conversation text not null,
        message_id text not null,
        admitted_at timestamptz not null default now(),
        primary key (tenant, conversation, message_id)
    )
    """,
    "create index on holdfast.admissions (scope)",
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
