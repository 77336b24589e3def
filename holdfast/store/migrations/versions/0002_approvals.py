"""Approvals with quorum, ladder, claims and signed decisions; the policy behind every verdict."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = [
    """
    alter table holdfast.approvals
        add column asked jsonb not null default '{}',
        add column approval jsonb not null default '{}',
        add column due_at timestamptz not null default now(),
        add column claimed_by text,
        add column claimed_until timestamptz,
        add column amount numeric,
        add column policy_digest text not null default '',
        add column stale_reason text
    """,
    "create index on holdfast.approvals (tenant, conversation)",
    "alter table holdfast.decisions drop constraint decisions_pkey",
    "alter table holdfast.decisions drop constraint decisions_tenant_approval_fkey",
    """
    alter table holdfast.decisions
        add column ordinal int,
        add column team text,
        add column delegate text,
        add column statement text not null default '',
        add column edit jsonb,
        add column outcome jsonb,
        add column recorded_by text not null default ''
    """,
    """
    create unique index decisions_taken on holdfast.decisions (tenant, approval, id)
     where refusal is null
    """,
    """
    create unique index decisions_refused on holdfast.decisions (tenant, approval, id, recorded_by)
     where refusal is not null
    """,
    """
    alter table holdfast.actions
        add column policy text,
        add column policy_version int,
        add column policy_digest text,
        add column rule text,
        add column description jsonb
    """,
    "create index on holdfast.actions (tenant, name, created_at)",
    "create index on holdfast.audit (tenant, subject)",
    "create index on holdfast.actions (tenant, approval) where approval is not null",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
