"""No Grafana: it reads what a Grafana is provisioned with as Grafana does, and ends where it cannot.

It draws nothing. `/api/health` is as Grafana's; `/api/search` has the dashboards, `/api/datasources` the sources, both
only with the password of `admin`.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import yaml

PROVISIONING = Path("/etc/grafana/provisioning")


def end(reason: str) -> NoReturn:
    """Say why, and end as Grafana does with what it cannot read."""
    sys.exit(f"this stand-in for Grafana cannot start: {reason}")


def documents(folder: str) -> list[dict[str, Any]]:
    """Every file of a folder of the provisioning."""
    found: list[dict[str, Any]] = []
    for path in sorted((PROVISIONING / folder).glob("*.y*ml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            end(f"{path}: {error}")
        if not isinstance(document, dict) or document.get("apiVersion") != 1:
            end(f"{path}: expected an object with apiVersion 1")
        found.append(document)
    return found


def sources() -> list[dict[str, Any]]:
    """The data sources; one is the default."""
    found = [one for document in documents("datasources") for one in document["datasources"]]
    for one in found:
        for key in ("name", "type", "url", "access"):
            if not one.get(key):
                end(f"a data source has no {key}")
    if sum(bool(one.get("isDefault")) for one in found) != 1:
        end("one data source is to be the default")
    return found


def dashboards() -> list[dict[str, Any]]:
    """Every dashboard of the providers' folders, each with a uid and a title of its own."""
    found: list[dict[str, Any]] = []
    for document in documents("dashboards"):
        for provider in document["providers"]:
            folder = Path(provider["options"]["path"])
            if provider.get("type") != "file" or not folder.is_dir():
                end(f"provider {provider.get('name')}: {folder} is no folder")
            for path in sorted(folder.glob("*.json")):
                try:
                    found.append({**json.loads(path.read_text(encoding="utf-8")), "file": path.name})
                except ValueError as error:
                    end(f"{path}: {error}")
    for key in ("uid", "title"):
        values = [one.get(key) for one in found]
        if not all(values) or len(set(values)) != len(values):
            end(f"dashboards without a {key} of their own: {values}")
    home = os.environ.get("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")
    if home and not Path(home).is_file():
        end(f"{home}, the first page, is not there")
    return found


class Handler(BaseHTTPRequestHandler):
    """Answers."""

    pages: ClassVar[dict[str, Any]] = {}
    password: ClassVar[str] = ""

    def do_GET(self) -> None:
        """One page of a few."""
        if self.path == "/api/health":
            return self._say(200, {"database": "ok", "version": "stand-in"})
        if self.path not in self.pages:
            return self._say(404, {"message": "this stand-in for Grafana has no such page"})
        wanted = "Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode()
        if not hmac.compare_digest(self.headers.get("Authorization", ""), wanted):
            return self._say(401, {"message": "Unauthorized"})
        return self._say(200, self.pages[self.path])

    def _say(self, status: int, page: Any) -> None:
        body = json.dumps(page).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Nothing."""


def main() -> None:
    """Read everything, then answer."""
    file = os.environ.get("GF_SECURITY_ADMIN_PASSWORD__FILE", "")
    if not file or not Path(file).is_file():
        end("GF_SECURITY_ADMIN_PASSWORD__FILE names no file")
    Handler.password = Path(file).read_text(encoding="utf-8").strip()
    found = [
        {"uid": one["uid"], "title": one["title"], "file": one["file"], "panels": len(one["panels"])}
        for one in dashboards()
    ]
    Handler.pages = {"/api/search": found, "/api/datasources": sources()}
    # As Grafana, it writes into its own folder.
    Path("/var/lib/grafana/grafana.db").write_text("none", encoding="utf-8")
    ThreadingHTTPServer(("0.0.0.0", 3000), Handler).serve_forever()  # noqa: S104 - in its network


if __name__ == "__main__":
    main()
