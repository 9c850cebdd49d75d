"""What a Prometheus and a Grafana elsewhere need of a stack, as files: how it is read, its rules, its dashboards.

    python -m toolchain.monitoring_files STACK FOLDER

writes FOLDER/scrape.yml (`scrape_config_files`), FOLDER/rules.yml (`rule_files`) and FOLDER/dashboards/*.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from components.settings.reader import SettingsError
from toolchain.paths import settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts


def files(stack: str) -> dict[str, str]:
    """Name -> text. Raises `ValueError` for a stack that nobody watches, `SettingsError` for a bad one."""
    from components.monitoring import scrapes, setup
    from components.monitoring.dashboard_files import dashboard_files
    from components.monitoring.rule_files import rule_file
    from components.stack.outputs_monitoring import scrape_file

    given, _ = settings_without_secrets(stack, *stack_texts(settings_file(stack)))
    settings = scrapes.with_numbers(given)
    if scrapes.watched(settings) is None:
        raise ValueError(f"nobody watches {stack}: set immich:monitoring.kind in Pulumi.{stack}.yaml")
    plan = setup.plan(settings, stack)
    return {
        "scrape.yml": scrape_file(settings, stack),
        "rules.yml": rule_file(plan),
        **{f"dashboards/{name}": text for name, text in dashboard_files(plan).items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; 1 where the stack has none, or its settings cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.monitoring_files", description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        made = files(chosen.stack)
    except (FileNotFoundError, SettingsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in made.items():
        path: Path = chosen.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
