"""`make runbook STACK=... [OUTPUT=folder]`: pages for the day on which something is lost, with the stack's own names.

Reads `Pulumi.<stack>.yaml` alone: no engine, no cluster, no passphrase. The pages hold no secret.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from components.recovery.runbooks import pages
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import RENDERED, ROOT, settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts

EXAMPLE: Final = "hwc"
"""The stack whose pages are in docs/."""
DOCS: Final = ROOT / "docs" / "runbooks"
_USAGE: Final = "usage: python -m toolchain.runbook STACK [FOLDER]   (make runbook STACK=... OUTPUT=folder)"


def stack_pages(stack: str) -> dict[str, str]:
    """File name -> text for a stack of this folder. Raises `ToolchainError` for an unknown stack or wrong settings."""
    settings, _ = settings_without_secrets(stack, *stack_texts(settings_file(stack)))
    return pages(settings, stack, capacity=settings.capacity)


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write every page; a folder that cannot be written is a `ToolchainError`. Other files in it stay."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            part = folder / f".{name}.part"
            part.write_text(text, encoding="utf-8")
            part.replace(folder / name)
    except OSError as error:
        raise ToolchainError(
            f"The pages cannot be written to {folder}: {error.strerror}. Name another folder with OUTPUT=..."
        ) from None


def main() -> int:
    """`python -m toolchain.runbook STACK [FOLDER]`."""
    arguments = [one for one in sys.argv[1:] if one]
    if not 1 <= len(arguments) <= 2 or any(one.startswith("-") for one in arguments):
        raise ToolchainError(_USAGE)
    stack = arguments[0]
    folder = Path(arguments[1]) if len(arguments) == 2 else RENDERED / "runbooks" / stack
    texts = stack_pages(stack)
    write(folder, texts)
    print(f"{len(texts)} pages in {folder}: begin with {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    exit_with(main)
