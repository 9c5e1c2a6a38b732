"""API keys from the command line."""

import os
from typing import Any

import pytest

from api_gateway.__main__ import main
from xraygpt_core.settings import Settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name in os.environ:
        if name.startswith("XRAYGPT_"):
            monkeypatch.delenv(name)
    for name in ("database_url", "redis_url", "hmac_key"):
        monkeypatch.setenv(f"XRAYGPT_{name.upper()}", getattr(settings, name).get_secret_value())
    for name in ("bucket", "derived_bucket"):
        monkeypatch.setenv(f"XRAYGPT_{name.upper()}", getattr(settings, name))


def status_with(world: Any, key: str) -> int:
    code: int = world.stranger.get("/v1/status", headers={"X-API-Key": key}).status_code
    return code


@pytest.mark.usefixtures("environment")
def test_a_key_opens_the_gateway_until_it_is_revoked(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-key", "--name", "ward-3"]) == 0
    key = capsys.readouterr().out.split()[-1]
    assert status_with(world, key) == 200

    assert main(["revoke-key", "--name", "ward-3"]) == 0

    assert status_with(world, key) == 401


@pytest.mark.usefixtures("environment", "world")
def test_a_name_without_a_valid_key_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke-key", "--name", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
