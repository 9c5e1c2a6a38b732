"""``xraygpt facts``, ``relabel`` and ``seal`` run as processes of the stack: with its settings, and end as they end."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from xraygpt.commands import refilling

STACK = {
    "database_url": "postgresql://d",
    "bucket": "source",
    "s3_access_key": "k",
    "hmac_key_file": None,
    "sealed_numbers": "true",
    "sealing_key_file": "/data/sealing.key",
}


@pytest.mark.parametrize(
    ("command", "module"), [("facts", "workers.facts"), ("relabel", "workers.relabel"), ("seal", "workers.seal")]
)
def test_a_refill_runs_with_the_stacks_settings_and_ends_as_it_ends(
    xraygpt: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, command: str, module: str
) -> None:
    asked: dict[str, Any] = {}

    def run(words: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        asked.update(command=words, env=env)
        return subprocess.CompletedProcess(words, 3)

    monkeypatch.setattr(refilling, "running_stack", lambda _: STACK)
    monkeypatch.setattr(subprocess, "run", run)
    assert xraygpt(command, "--json").exit_code == 3
    assert asked["command"][1:] == ["-m", module, "--json"]
    assert asked["env"]["XRAYGPT_DATABASE_URL"] == STACK["database_url"]
    assert asked["env"]["XRAYGPT_SEALED_NUMBERS"] == "true"
    assert asked["env"]["XRAYGPT_SEALING_KEY_FILE"] == STACK["sealing_key_file"]
