"""What a command reads from its environment and from stack.json."""

import re
from pathlib import Path

import pytest

from xraygpt.connect import process_environment, setting

ROOT = Path(__file__).parents[3]


def test_the_environment_goes_before_the_stack_unless_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = {"s3_endpoint_url": "http://127.0.0.1:1", "s3_ca_file": None}
    monkeypatch.setenv("XRAYGPT_S3_ENDPOINT_URL", "")
    assert setting("s3_endpoint_url", stack) == "http://127.0.0.1:1"
    assert setting("s3_ca_file", stack) is None
    monkeypatch.setenv("XRAYGPT_S3_ENDPOINT_URL", "https://s3.hospital")
    assert setting("s3_endpoint_url", stack) == "https://s3.hospital"


def test_a_process_that_a_command_starts_trusts_the_stacks_own_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    given = process_environment(
        {"bucket": "films", "s3_ca_file": "certificates/ca.crt", "api_key": "xgpt_1", "redis_url": ""}
    )
    assert (given["PATH"], given["XRAYGPT_BUCKET"], given["XRAYGPT_S3_CA_FILE"]) == (
        "/bin",
        "films",
        "certificates/ca.crt",
    )
    assert "XRAYGPT_API_KEY" not in given
    assert "XRAYGPT_REDIS_URL" not in given


def test_settings_are_read_in_one_place() -> None:
    """By :mod:`xraygpt_core.settings`; commands, which start faster without it, by :mod:`xraygpt.connect`."""
    packages = ("xraygpt", "xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations")
    read = re.compile(r'environ(\.get\(|\[)f?"XRAYGPT_')
    found = {
        str(path.relative_to(ROOT))
        for one in packages
        for path in (ROOT / one).rglob("*.py")
        if read.search(path.read_text())
    }
    stack = {path for path in found if path.startswith("xraygpt/stack/")}  # which is handed the environment
    assert found - stack == {"xraygpt/connect.py", "xraygpt_core/paths.py", "migrations/__main__.py"}
