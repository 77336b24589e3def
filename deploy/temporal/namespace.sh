#!/bin/sh
# Creates the namespace of TEMPORAL_NAMESPACE with the search attributes that conversations set.
# Running it again changes nothing.
set -eu

temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 30d

# The servers take some seconds to notice a new namespace.
tries=0
until temporal operator search-attribute create -n "$TEMPORAL_NAMESPACE" \
  --name HoldfastTenant --type Keyword \
  --name HoldfastStatus --type Keyword \
  --name HoldfastAgent --type Keyword \
  --name HoldfastPriority --type Keyword \
  --name HoldfastApprovalRoles --type KeywordList \
  --name HoldfastApprovalDue --type Datetime; do
  tries=$((tries + 1))
  test "$tries" -lt 30 || exit 1
  sleep 1
done
