"""The rules on proxies and addresses of clients as a policy pack of their own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from immich_policy.pack import serve

serve("proxies")
