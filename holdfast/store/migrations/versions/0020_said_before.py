"""What was handed in, so that an id that was used for two decisions is told from one that was sent twice."""

from alembic import op

revision = "0020"
down_revision = "0019"

STATEMENTS = [
    # None where an earlier version notes it: then it is the decision of its id, whatever that says.
    "alter table holdfast.handed_in add column content text not null default ''",
    "alter table holdfast.handed_in drop constraint handed_in_pkey",
    """
    alter table holdfast.handed_in
        add primary key (tenant, approval, decision, reviewer, roles, content)
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
