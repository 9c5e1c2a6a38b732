"""The key of the clinical text on one machine: who is given which part of it, how it changes, and who opens there."""

from pathlib import Path
from uuid import UUID

import pytest

from tests.support.clinical_keys import ANOTHER_KEY, KEY, OPENER
from xraygpt.commands import rotating
from xraygpt.commands.rotating import What
from xraygpt.connect import clinical_opener
from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.home import Home, retire_clinical_key
from xraygpt.stack.stack_settings import StackSettings
from xraygpt_core.clinical_sealing import ClinicalOpener, ClinicalSealer
from xraygpt_core.clinical_text import Clinical
from xraygpt_core.errors import ConfigurationError

ON = {"XRAYGPT_CLINICAL_TEXT": "true"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    monkeypatch.setenv("XRAYGPT_HOME", str(made.root))
    return made


def chosen(home: Home, said: list[str] | None = None, **environ: str) -> dict[str, str]:
    """What a start with this environment adds to it about clinical text."""
    settings = StackSettings(home, environ, (said if said is not None else []).append)
    for held in settings.choose().values():
        held.close()
    return {name: value for name, value in settings.environ.items() if "CLINICAL" in name}


def put(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_a_start_makes_the_key_once_and_the_half_from_it(home: Home) -> None:
    said: list[str] = []
    first = chosen(home, said, **ON)
    assert any("new key of the clinical text" in line for line in said)
    half = ClinicalOpener(bytes.fromhex(home.clinical_key_file.read_text().strip())).sealing_half.hex()
    assert first["XRAYGPT_CLINICAL_SEALING_HALF"] == half
    assert first["XRAYGPT_CLINICAL_KEY_FILE"] == str(home.clinical_key_file)
    said.clear()
    assert chosen(home, said, **ON) == first
    assert not any("clinical" in line for line in said)


def test_without_the_switch_there_is_no_key(home: Home) -> None:
    assert chosen(home) == {}
    assert not home.clinical_key_file.exists()


def test_a_key_that_is_a_setting_is_used_and_none_is_made(home: Home) -> None:
    assert chosen(home, **ON, XRAYGPT_CLINICAL_KEY=KEY)["XRAYGPT_CLINICAL_SEALING_HALF"] == OPENER.sealing_half.hex()
    assert not home.clinical_key_file.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"XRAYGPT_CLINICAL_SEALING_HALF": OPENER.sealing_half.hex()}, "makes the half from the key"),
        ({"XRAYGPT_CLINICAL_KEY": KEY, "XRAYGPT_HMAC_KEY": KEY}, "another key than the others"),
        ({"XRAYGPT_CLINICAL_KEY": KEY, "XRAYGPT_CLINICAL_KEY_FILE": "of/yours"}, "not both"),
    ],
)
def test_a_start_refuses_what_would_not_fit_together(home: Home, more: dict[str, str], message: str) -> None:
    with pytest.raises((StackError, ConfigurationError), match=message) as refused:
        chosen(home, **ON, **more)
    assert KEY[-8:] not in str(refused.value)


@pytest.fixture
def restarted(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A stack whose stops and starts do nothing but choose its settings."""
    monkeypatch.setattr(rotating, "stop", lambda _: None)
    monkeypatch.setattr(rotating, "start", lambda home, _: chosen(home, **ON))
    monkeypatch.setenv(*next(iter(ON.items())))
    return home


def test_each_new_key_leaves_those_before_it_to_open_what_was_sealed_for_them(restarted: Home) -> None:
    keys = []
    for _ in range(3):
        chosen(restarted, **ON)
        keys.append(restarted.clinical_key_file.read_text().strip())
        rotating.rotate(What.WORDS)
    assert restarted.old_clinical_key_file.read_text().split() == keys[::-1]
    assert restarted.old_clinical_key_file.stat().st_mode & 0o777 == 0o600
    assert restarted.clinical_key_file.read_text().strip() not in keys
    given = chosen(restarted, **ON)
    assert given["XRAYGPT_CLINICAL_OLD_KEY_FILE"] == str(restarted.old_clinical_key_file)


def test_a_change_that_was_cut_off_loses_no_key_and_can_be_repeated(home: Home) -> None:
    put(home.clinical_key_file, f"{KEY}\n")
    put(home.old_clinical_key_file, f"{KEY}\n{ANOTHER_KEY}\n")  # as if the call before had ended after its first line
    assert clinical_opener() is not None
    retire_clinical_key(home)
    assert home.old_clinical_key_file.read_text().split() == [KEY, ANOTHER_KEY]
    assert not home.clinical_key_file.exists()


@pytest.mark.parametrize("name", ["XRAYGPT_CLINICAL_KEY", "XRAYGPT_CLINICAL_KEY_FILE"])
def test_a_key_that_is_a_setting_is_not_replaced(restarted: Home, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "of/yours")
    with pytest.raises(StackError, match="a setting of yours"):
        rotating.rotate(What.WORDS)


def test_where_no_words_are_sealed_no_key_is_replaced(restarted: Home) -> None:
    with pytest.raises(StackError, match="XRAYGPT_CLINICAL_TEXT=true"):
        rotating.rotate(What.WORDS)


def boxed(key: str) -> tuple[UUID, bytes]:
    """An image, and its box for this key."""
    box = ClinicalSealer(ClinicalOpener(bytes.fromhex(key)).sealing_half).seal(UUID(int=7), Clinical("cough"))
    return UUID(int=7), box or b""


@pytest.mark.parametrize("where", ["home", "settings"])
def test_a_comparison_opens_with_the_key_and_those_before_it(
    where: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clinical_opener() is None
    if where == "home":
        put(home.clinical_key_file, ANOTHER_KEY)
    else:
        monkeypatch.setenv("XRAYGPT_CLINICAL_KEY", ANOTHER_KEY)
    put(home.old_clinical_key_file, KEY)
    opener = clinical_opener()
    assert opener is not None
    assert [opener.open(*boxed(key)).indication for key in (KEY, ANOTHER_KEY)] == ["cough", "cough"]
    monkeypatch.setenv("XRAYGPT_CLINICAL_OLD_KEY", ANOTHER_KEY)
    opener = clinical_opener()
    assert opener is not None
    assert opener.open(*boxed(KEY)).indication is None
