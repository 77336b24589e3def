"""The audit log only grows, whoever is connected."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = [
    """
    create function holdfast.refuse_to_change_audit() returns trigger language plpgsql as $$
    begin
        raise exception 'the audit log only grows' using errcode = 'insufficient_privilege';
    end
    $$
    """,
    """
    create trigger audit_only_grows
        before update or delete or truncate on holdfast.audit
        for each statement execute function holdfast.refuse_to_change_audit()
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
