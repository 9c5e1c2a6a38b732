"""Where data and models lie."""

from pathlib import Path

import pytest

from xraygpt_core.paths import data_dir, models_dir, user_cache


def test_directories_follow_the_environment_and_the_xdg_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XRAYGPT_MODELS", "XRAYGPT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert user_cache() == Path("/cache/xraygpt")
    assert models_dir() == Path("/cache/xraygpt/models")
    assert data_dir() == Path(".xraygpt").absolute()
    monkeypatch.setenv("XRAYGPT_MODELS", "/m")
    monkeypatch.setenv("XRAYGPT_HOME", "/h")
    assert (models_dir(), data_dir()) == (Path("/m"), Path("/h"))
