"""Starting the gateway without services."""

import os

import pytest

from api_gateway.__main__ import main


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("XRAYGPT_"):
            monkeypatch.delenv(name)


def test_a_missing_setting_stops_it_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    captured = capsys.readouterr()
    assert "XRAYGPT_DATABASE_URL" in captured.err
    assert "Traceback" not in captured.err


def test_a_key_needs_a_name() -> None:
    with pytest.raises(SystemExit) as left:
        main(["create-key"])
    assert left.value.code == 2
