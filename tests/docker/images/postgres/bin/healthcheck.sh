#!/usr/bin/env bash
# Stand-in of the image's health check: the server answers and no checksum has failed.
set -euo pipefail

user="${POSTGRES_USER:-${DB_USERNAME:-postgres}}"
database="${POSTGRES_DB:-${DB_DATABASE_NAME:-$user}}"
pg_isready --dbname="$database" --username="$user" --quiet || exit 1
failures="$(psql --dbname="$database" --username="$user" --tuples-only --no-align \
  --command='SELECT COALESCE(SUM(checksum_failures), 0) FROM pg_stat_database')"
[[ "$failures" == 0 ]] || { echo "checksum failures: $failures" >&2; exit 1; }
