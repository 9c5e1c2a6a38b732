"""docker-compose.yml as Compose reads it, with the variables of .env at their defaults; what its services are."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
NEEDED = {
    "postgres",
    "redis",
    "s3",
    "migrate",
    "gateway",
    "worker-ingest",
    "worker-events",
    "worker-gpu",
    "worker-training",
    "control",
    "flower",
    "prometheus",
    "grafana",
}
ONCE = {"migrate", "prepare", "models"}
WORKERS = {"worker-ingest", "worker-events", "worker-gpu", "worker-training", "control"}
OURS = ONCE | WORKERS | {"gateway", "flower"}  # the others are images of other people
READS_SETTINGS = WORKERS | {"gateway", "flower"}
NEEDS_TORCH = {"worker-gpu", "worker-training", "models"}


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


def secrets_of(service: dict[str, Any]) -> set[str]:
    """The names of its files below /run/secrets."""
    return {one if isinstance(one, str) else one["target"] for one in service.get("secrets", [])}


def settings_of(service: dict[str, Any]) -> dict[str, Any]:
    """The XRAYGPT_* variables a container of ours is started with: its environment, and secrets named like one."""
    given = {name: value for name, value in service.get("environment", {}).items() if name.startswith("XRAYGPT_")}
    secrets = {name for name in secrets_of(service) if name.startswith("XRAYGPT_")}
    return given | {
        name: "redis://broker" if name == "XRAYGPT_REDIS_URL" else "a secret of 32 random bytes" for name in secrets
    }
