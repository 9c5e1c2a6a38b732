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


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("more", "kind"), [([], "person"), (["--program"], "program"), (["--both"], "both")])
def test_a_key_is_made_for_a_person_unless_it_is_said_otherwise(
    world: Any, capsys: pytest.CaptureFixture[str], more: list[str], kind: str
) -> None:
    assert main(["create-key", "--name", "Dr. A. Okafor", *more]) == 0
    me = world.stranger.get("/v1/me", headers={"X-API-Key": capsys.readouterr().out.split()[-1]}).json()
    assert (me["name"], me["kind"]) == ("Dr. A. Okafor", kind)


@pytest.mark.usefixtures("environment", "world")
def test_a_name_nobody_can_read_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-key", "--name", "Dr.\u200bA"]) == 1
    assert "visible letters" in capsys.readouterr().err


@pytest.mark.usefixtures("environment", "world")
def test_a_name_without_a_valid_key_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke-key", "--name", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
