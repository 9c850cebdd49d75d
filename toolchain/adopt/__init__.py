"""`make adopt`: from Immich's own docker-compose.yml to a stack of this program."""
