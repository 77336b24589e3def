#!/bin/sh
# Creates Temporal's two databases, or brings them up to the version of these tools.
set -eu

prepare() {
  database=$1
  versions=/etc/temporal/schema/postgresql/v12/$2/versioned
  for step in "create" "setup-schema -v 0.0" "update-schema -d $versions"; do
    # A step is a command and its options, so it has to be split into words.
    # shellcheck disable=SC2086
    temporal-sql-tool --plugin postgres12 --ep "$SQL_HOST" -p "$SQL_PORT" -u "$SQL_USER" \
      --db "$database" $step
  done
}

prepare temporal temporal
prepare temporal_visibility visibility
