import stat
from pathlib import Path

from xraygpt.stack.settings.remembered import recall, remember, secret


def test_nothing_is_remembered_before_the_first_start(tmp_path: Path) -> None:
    assert recall(tmp_path / "service.json") == {}


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    remember(tmp_path / "deep" / "service.json", {"port": 5, "password": "x"})
    assert recall(tmp_path / "deep" / "service.json") == {"port": 5, "password": "x"}


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text("{}")
    path.chmod(0o644)
    remember(path, {"password": "x"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_replacement_leaves_no_other_file(tmp_path: Path) -> None:
    for port in range(3):
        remember(tmp_path / "service.json", {"port": port})
    assert [path.name for path in tmp_path.iterdir()] == ["service.json"]


def test_secrets_differ_and_need_no_quoting() -> None:
    assert secret() != secret()
    assert len(secret()) == 48
    assert secret().isalnum()
