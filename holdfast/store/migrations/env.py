"""Alembic's environment: runs the revisions of one schema on the connection it is handed."""

from alembic import context

from holdfast.store.migrate import CONNECTION, SCHEMA

schema = context.config.attributes[SCHEMA]

context.configure(
    connection=context.config.attributes[CONNECTION],
    version_table="schema_version",
    version_table_schema=schema,
)

with context.begin_transaction():
    context.run_migrations()
