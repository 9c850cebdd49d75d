"""`make adopt`: from Immich's docker-compose.yml, a NixOS block, or its chart's values to a stack of this program."""
