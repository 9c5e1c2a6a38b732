"""What a service of the stack remembers between two starts (ports, passwords): one small JSON file, mode 0600."""

import json
import os
import secrets
from pathlib import Path
from typing import Any


def recall(path: Path) -> dict[str, Any]:
    """What was remembered; empty before the first start."""
    try:
        remembered = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    assert isinstance(remembered, dict)
    return remembered


def remember(path: Path, values: dict[str, Any]) -> None:
    """Replace the file, mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(path, f"{json.dumps(values, indent=2)}\n".encode(), 0o600)


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file in one step: a reader sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)  # whatever the umask
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def secret() -> str:
    """A password that needs no quoting anywhere: 48 hex digits, 192 bits."""
    return secrets.token_hex(24)
