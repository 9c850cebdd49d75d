"""`make adopt`: from Immich's own docker-compose.yml, or the values of its chart, to a stack of this program."""
