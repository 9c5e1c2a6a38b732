"""The files of deploy/ as the tests read them."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.compose_file import ROOT, load


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


@pytest.fixture(scope="session")
def external_bucket() -> dict[str, Any]:
    return load("deploy/external-bucket.yml")


@pytest.fixture(scope="session")
def model_server() -> dict[str, Any]:
    return load("deploy/model-server.yml")
