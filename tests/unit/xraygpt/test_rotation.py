"""New secrets in the files of a data directory; nothing is started."""

from pathlib import Path
from typing import Any

import pytest

from xraygpt.commands import rotating
from xraygpt.commands.rotating import What
from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.home import Home, finish_replacing, make_key, replace_hmac_key, replace_sealing_key
from xraygpt.stack.settings.remembered import recall, remember
from xraygpt.stack.settings.rotation import ROTATED


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """As a start left it."""
    made = Home(tmp_path / "home")
    made.create()
    ours = {"gateway_port": 1, "webhook_token": "w", "reader_password": "r", "flower_password": "f", "api_key": "k"}
    remember(made.secrets_file, ours | {"role_passwords": {"xraygpt_ingest": "i"}})
    remember(made.root / "postgres" / "service.json", {"port": 2, "password": "p", "superuser_password": "s"})
    remember(made.root / "broker" / "service.json", {"port": 3, "password": "b"})
    remember(made.root / "s3" / "service.json", {"ports": {"s3": 4}, "secret_key": "s"})
    remember(made.root / "s3" / "home" / "keys.json", {"keys": {"owner": [["a", "s"]]}})
    make_key(made.hmac_key_file)
    return made


def memories(home: Home) -> dict[str, Any]:
    return {str(file.relative_to(home.root)): recall(file) for file in home.root.rglob("*.json")}


def test_every_name_is_on_the_command_line() -> None:
    assert {*What} == {"all", "pseudonyms", "numbers", "words", *ROTATED}


def test_all_of_them_together_leave_no_secret_as_it_was_and_no_port_changed(home: Home) -> None:
    before = memories(home)
    for rotate in ROTATED.values():
        rotate(home)
    after = memories(home)
    ours, old = after["secrets.json"], before["secrets.json"]
    assert ours["gateway_port"] == 1
    assert "api_key" not in ours
    for name in ("webhook_token", "reader_password", "flower_password", "role_passwords"):
        assert ours[name] != old[name]
    assert ours["former_passwords"] == {"xraygpt_ingest": "i"}
    postgres = after["postgres/service.json"]
    assert (postgres["port"], postgres["superuser_password"]) == (2, "s")  # the next start changes it
    assert postgres["password"] != "p"
    assert after["broker/service.json"]["password"] != "b"
    assert after["s3/service.json"] == {"ports": {"s3": 4}}
    assert "s3/home/keys.json" not in after


def test_a_superuser_s_password_that_may_count_already_is_not_replaced_by_another(home: Home) -> None:
    ROTATED["database"](home)
    first = memories(home)["postgres/service.json"]["next_superuser_password"]
    ROTATED["database"](home)
    assert memories(home)["postgres/service.json"]["next_superuser_password"] == first


def test_the_pseudonymisation_key_is_replaced_once_however_often_it_is_cut_off(home: Home) -> None:
    old = home.hmac_key_file.read_text()
    make_key(home.next_hmac_key_file)
    new = home.next_hmac_key_file.read_text()
    replace_hmac_key(home)  # as if the call before had ended after its first line
    assert (home.old_hmac_key_file.read_text(), home.hmac_key_file.read_text()) == (old, new)
    replace_hmac_key(home)
    assert (home.old_hmac_key_file.read_text(), home.hmac_key_file.read_text()) == (old, new)


def test_a_start_finishes_what_was_cut_off_between_old_and_new(home: Home) -> None:
    old = home.hmac_key_file.read_text()
    make_key(home.next_hmac_key_file)
    home.hmac_key_file.rename(home.old_hmac_key_file)
    finish_replacing(home)
    assert home.old_hmac_key_file.read_text() == old
    assert home.hmac_key_file.exists()
    assert not home.next_hmac_key_file.exists()


def test_the_sealing_key_is_replaced_in_the_same_way_and_a_start_finishes_it(home: Home) -> None:
    make_key(home.sealing_key_file)
    old, names = home.sealing_key_file.read_text(), home.hmac_key_file.read_text()
    make_key(home.next_sealing_key_file)
    home.sealing_key_file.rename(home.old_sealing_key_file)
    finish_replacing(home)
    replace_sealing_key(home)
    assert home.old_sealing_key_file.read_text() == old != home.sealing_key_file.read_text()
    assert home.sealing_key_file.stat().st_mode & 0o777 == 0o600
    assert home.hmac_key_file.read_text() == names


@pytest.mark.parametrize("switch", ["true", "false"])
def test_numbers_that_are_not_kept_are_not_sealed_anew(
    switch: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Switched on, there is no key yet; switched off, there is one from before."""
    monkeypatch.setenv("XRAYGPT_HOME", str(home.root))
    monkeypatch.setenv("XRAYGPT_SEALED_NUMBERS", switch)
    monkeypatch.setattr(rotating, "start", _must_not_start)
    if switch == "false":
        make_key(home.sealing_key_file)
    with pytest.raises(StackError, match="XRAYGPT_SEALED_NUMBERS=true"):
        rotating.rotate(What.NUMBERS)
    assert not home.old_sealing_key_file.exists()


@pytest.mark.parametrize("name", ["XRAYGPT_HMAC_KEY", "XRAYGPT_HMAC_KEY_FILE"])
@pytest.mark.parametrize("value", ["", "of/yours"])
def test_a_key_that_is_a_setting_is_not_replaced_even_if_it_is_empty(
    name: str, value: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack reads the setting, not its own file: it would not start with the new key."""
    old = home.hmac_key_file.read_text()
    monkeypatch.setenv("XRAYGPT_HOME", str(home.root))
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(rotating, "start", _must_not_start)
    with pytest.raises(StackError, match="a setting of yours"):
        rotating.rotate(What.PSEUDONYMS)
    assert home.hmac_key_file.read_text() == old


def _must_not_start(home: Home, say: object) -> None:
    raise AssertionError("the stack starts with a new key")
