"""``xraygpt repair`` runs the repair as a process of the stack's: with its settings, and its answer."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from xraygpt.commands import changing

STACK = {"database_url": "postgresql://d", "bucket": "source", "s3_access_key": "k", "hmac_key_file": None}


def test_the_repair_runs_with_the_stacks_settings_and_ends_as_it_ends(
    xraygpt: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run(command: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        asked.update(command=command, env=env)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(changing, "running_stack", lambda _: STACK)
    monkeypatch.setattr(subprocess, "run", run)
    assert xraygpt("repair", "--apply", "--json").exit_code == 1
    assert asked["command"][1:] == ["-m", "workers.repair", "--apply", "--json"]
    known = {name: asked["env"].get(f"XRAYGPT_{name.upper()}") for name in STACK}
    assert known == STACK
