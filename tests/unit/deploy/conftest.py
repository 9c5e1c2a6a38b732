"""docker-compose.yml as Compose reads it, with the variables of .env at their defaults."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


def interpolated(text: str) -> str:
    """``${NAME:-default}`` as its default, ``$$`` as one dollar (Compose specification, Interpolation)."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        assert match["default"] is not None, f"{match['name']} has no default: `docker compose up` would need it"
        return match["default"]

    return _VARIABLE.sub(value, text)


def load(name: str) -> dict[str, Any]:
    """One of our YAML files with its anchors resolved."""
    document: dict[str, Any] = yaml.safe_load(interpolated((ROOT / name).read_text()))
    return document


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    return load("docker-compose.yml")


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


@pytest.fixture(scope="session")
def gpu_overlay() -> dict[str, Any]:
    return load("deploy/gpu.yml")
