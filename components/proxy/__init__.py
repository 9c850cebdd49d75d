"""nginx, how the server is exposed, and its certificates."""
