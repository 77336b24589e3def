"""The embedded Postgres: where its binaries come from, its data, and how it runs."""
