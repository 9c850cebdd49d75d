#!/usr/bin/env bash
# Stand-in of Immich's start.sh: reads the variables that can come from files, then starts the server.

read_file_and_export() {
  local file="${!1:-}"
  if [[ -z "$file" && -n "${CREDENTIALS_DIRECTORY:-}" && -e "$CREDENTIALS_DIRECTORY/$2" ]]; then
    file="$CREDENTIALS_DIRECTORY/$2"
  fi
  if [[ -n "$file" ]]; then
    local content
    content="$(<"$file")" || exit 1
    export "$2=$content"
    unset "$1"
  fi
}
for variable in DB_URL DB_HOSTNAME DB_DATABASE_NAME DB_USERNAME DB_PASSWORD REDIS_PASSWORD; do
  read_file_and_export "${variable}_FILE" "$variable"
done

exec python3 /usr/src/app/server/standin/main.py
