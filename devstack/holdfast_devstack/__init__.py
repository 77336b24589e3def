"""A real Temporal dev server and a real Postgres that live and die with the process that uses them.

`stack.local_stack` starts or finds both; `temporal.server` and `postgres.server` hold each alone.
"""
