"""Whatever a text holds, the command shows it: nothing of it steers a terminal, and programs get it unchanged."""

import json
import re
import unicodedata

import pytest

from tests.support.hostile_strings import BROKEN, STRINGS
from xraygpt import show
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.access.api_keys import readable
from xraygpt_core.plain_text import MARK, plain_text, unseen

ALL = STRINGS + BROKEN
# Control characters of C0 and C1 but line ends, directional letters, and halves of letters.
STEERS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2028\u2029\u2060-\u206f\ufeff\ud800-\udfff]")


def test_there_are_two_hundred_of_them_and_none_twice() -> None:
    assert len(set(STRINGS)) == len(STRINGS) >= 200


def test_no_cell_name_or_line_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("study", "text"), [[text, text] for text in ALL])
    show.fields({f"field {number}": text for number, text in enumerate(ALL)}, title=ALL[0])
    for text in ALL:
        show.say(text)
    shown = capsys.readouterr()
    assert STEERS.findall(shown.out + shown.err) == []
    assert shown.err.count("\n") == len(ALL), "each is one line, whatever line ends it holds"
    for text in ("[red]Signed[/red]", "[link=https://example.invalid]film[/link]", ":skull: :warning:", "\\[escaped]"):
        assert text in shown.out, "it is no markup of ours either"


@pytest.mark.parametrize("text", [text for text in ALL if STEERS.search(text.replace("\t", ""))], ids=ascii)
def test_what_would_act_is_shown_as_a_mark(text: str) -> None:
    assert MARK in plain_text(text, lines=False)


def test_a_program_gets_every_one_of_them_back(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show.document(ALL)
    out = capfdbinary.readouterr().out.decode()
    assert STEERS.findall(out) == []
    assert json.loads(out) == [json.loads(json.dumps(text)) for text in ALL]


@pytest.mark.parametrize("text", ALL, ids=ascii)
def test_a_name_is_seen_as_it_is_stored_or_refused(text: str) -> None:
    try:
        name = readable(text)
    except InvalidRequest:
        return
    assert unseen(name) is None
    assert name.isprintable()
    assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in name)
