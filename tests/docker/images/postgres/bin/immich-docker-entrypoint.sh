#!/usr/bin/env bash
# Stand-in of the entrypoint of ghcr.io/immich-app/postgres: settings, file system check, then PostgreSQL's own.
set -Eeuo pipefail

export POSTGRES_USER="${POSTGRES_USER:-${DB_USERNAME:-postgres}}"
export POSTGRES_DB="${POSTGRES_DB:-${DB_DATABASE_NAME:-$POSTGRES_USER}}"
if [[ -z "${POSTGRES_PASSWORD:-}${POSTGRES_PASSWORD_FILE:-}" ]]; then
  [[ -n "${DB_PASSWORD:-}" ]] && export POSTGRES_PASSWORD="$DB_PASSWORD"
  [[ -n "${DB_PASSWORD_FILE:-}" ]] && export POSTGRES_PASSWORD_FILE="$DB_PASSWORD_FILE"
fi

case "${DB_STORAGE_TYPE:-SSD}" in
  SSD | HDD) storage="${DB_STORAGE_TYPE:-SSD}" ;;
  *)
    echo "Invalid DB_STORAGE_TYPE: '${DB_STORAGE_TYPE}'. Must be SSD or HDD." >&2
    exit 1
    ;;
esac

folder="$PGDATA"
while [[ ! -e "$folder" ]]; do folder="$(dirname "$folder")"; done
type="$(stat -f -c %T "$folder")"
case "$type" in
  ext2/ext3 | ext4 | xfs | btrfs | zfs | f2fs | tmpfs) ;;
  *)
    if [[ "${IGNORE_DATABASE_FSTYPE:-}" != true ]]; then
      echo "Unsupported file system for the database: $type at $PGDATA (IGNORE_DATABASE_FSTYPE=true to go on)." >&2
      exit 1
    fi
    ;;
esac

cp "/usr/share/immich-standin/postgresql.${storage,,}.conf" /etc/postgresql/postgresql.conf
# In the data folder it wins over the image's folder, as the last that is read.
printf "include_if_exists = '%s/postgresql.override.conf'\n" "$PGDATA" >>/etc/postgresql/postgresql.conf
exec /usr/local/bin/docker-entrypoint.sh "$@"
