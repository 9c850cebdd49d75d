"""Stand-in of the image's health check: /ping answers."""

import os
import sys
import urllib.request

host = os.environ.get("IMMICH_HOST", "localhost")
if host in {"0.0.0.0", "[::]", "::"}:  # noqa: S104
    host = "localhost"
port = os.environ.get("IMMICH_PORT", "3003")
try:
    with urllib.request.urlopen(f"http://{host}:{port}/ping", timeout=2) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
