"""API keys from the command line."""

import os
from typing import Any

import pytest

from api_gateway.__main__ import main
from xraygpt_core.settings import Settings
from xraygpt_core.states import Role


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """All that these commands need."""
    for name in os.environ:
        if name.startswith("XRAYGPT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XRAYGPT_DATABASE_URL", settings.database_url.get_secret_value())


def status_with(world: Any, key: str) -> int:
    code: int = world.stranger.get("/v1/status", headers={"X-API-Key": key}).status_code
    return code


def made(world: Any, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    """What a new key may do, and what was said besides."""
    assert main(["create-key", *arguments]) == 0
    said = capsys.readouterr()
    me: dict[str, Any] = world.stranger.get("/v1/me", headers={"X-API-Key": said.out.strip()}).json()
    return me, said.err


@pytest.mark.usefixtures("environment")
def test_a_key_opens_the_gateway_until_it_is_revoked(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-key", "--name", "ward-3"]) == 0
    key = capsys.readouterr().out.split()[-1]
    assert status_with(world, key) == 200

    assert main(["revoke-key", "--name", "ward-3"]) == 0

    assert status_with(world, key) == 401


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("more", "kind", "roles"),
    [([], "person", ["reader"]), (["--program"], "program", ["service"]), (["--both"], "both", list(Role))],
)
def test_a_key_is_made_for_a_person_and_may_do_little_unless_it_is_said_otherwise(
    world: Any, capsys: pytest.CaptureFixture[str], more: list[str], kind: str, roles: list[str]
) -> None:
    me, said = made(world, capsys, "--name", "Dr. A. Okafor", *more)
    assert (me["name"], me["kind"], me["roles"]) == ("Dr. A. Okafor", kind, roles)
    assert me["stat"] == (kind == "both")
    assert (f"roles: {roles[0]}. For others name them: --role reader --role" in said) == (kind != "both")


@pytest.mark.usefixtures("environment")
def test_roles_owner_expiry_and_stat_are_said_with_the_key(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--role", "admin", "--role", "analyst", "--owner", "IT", "--expires", "30", "--stat")
    me, said = made(world, capsys, "--name", "ops", *more)
    assert (me["roles"], me["stat"], said) == (["analyst", "admin"], True, "")
    (listed,) = [one for one in world.client.get("/v1/keys").json()["keys"] if one["name"] == "ops"]
    assert (listed["owner"], listed["expires_at"]) == ("IT", me["expires_at"])


@pytest.mark.usefixtures("environment")
def test_a_stack_that_lost_its_key_gets_another_one(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = [made(world, capsys, "--name", "local", "--both")[0]["name"] for _ in range(2)]
    assert names == ["local", "local (2)"]


@pytest.mark.usefixtures("environment", "world")
def test_a_name_that_is_taken_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-key", "--name", "Dr. R"]) == 0
    assert main(["create-key", "--name", "Dr. R"]) == 1
    assert "there is a valid key named 'Dr. R'" in capsys.readouterr().err


def test_the_roles_are_told_without_any_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XRAYGPT_DATABASE_URL", raising=False)
    assert main(["roles"]) == 0
    assert "| `DELETE /v1/studies/{study_id}` |  |  |  |  | ● |  |  |" in capsys.readouterr().out


@pytest.mark.usefixtures("environment", "world")
def test_a_name_nobody_can_read_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-key", "--name", "Dr.\u200bA"]) == 1
    assert "visible letters" in capsys.readouterr().err


@pytest.mark.usefixtures("environment", "world")
def test_a_name_without_a_valid_key_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke-key", "--name", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
