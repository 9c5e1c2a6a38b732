import io
import json
import os
import sys

import pytest
from rich.text import Text

from xraygpt import show


def test_a_document_is_json_with_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show.document({"source": "Röntgen.dcm", "n": None})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"source": "Röntgen.dcm", "n": None}
    assert "Röntgen" in captured.out


def test_a_document_is_valid_json_whatever_the_name_of_a_file(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    names = [os.fsdecode(b"caf\xe9 \xff.dcm"), 'quote" back\\slash\n\x00\x1b\x7f', "\u2028\u202e胸.dcm", "\ud83d"]
    show.document({"sources": names})
    with show.Spool("studies") as spool:
        for name in names:
            spool.add({"source": name})
        spool.write({"prefix": names[0]})
    whole, spooled = capfdbinary.readouterr().out.decode("utf-8").split("\n}\n", 1)
    assert json.loads(whole + "}")["sources"] == names
    found = json.loads(spooled)
    assert [row["source"] for row in found["studies"]] == names
    assert os.fsencode(found["prefix"]) == b"caf\xe9 \xff.dcm"


def test_progress_is_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show.say("working")
    assert capsys.readouterr() == ("", "working\n")


def test_a_cell_is_neither_markup_nor_an_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("file",), [["[red]scan[/red]\x1b[2J.dcm"]])
    shown = capsys.readouterr().out
    assert "[red]scan[/red]" in shown
    assert "\x1b[2J" not in shown


def test_a_table_cuts_nothing_where_it_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show.table(("id", "says"), [["0123456789abcdef" * 2, "a sentence of some words"]])
    show.fields({"error": "x" * 60})
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert shown.count("x") == 60
    assert sum(shown.count(digit) for digit in "0123456789") == 20


def test_values_that_are_no_text_are_shown_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("a", "b", "c", "d"), [[True, {"view": "PA"}, None, False]])
    shown = capsys.readouterr().out
    assert "yes" in shown
    assert " no" in shown
    assert '{"view": "PA"}' in shown
    assert "None" not in shown


def test_fields_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show.fields({"state": "rejected", "view": None}, title="Study")
    shown = capsys.readouterr().out
    assert "Study" in shown
    assert "rejected" in shown
    assert "view" not in shown


def test_lines_of_progress_come_now_and_then_and_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(show.time, "monotonic", lambda: now[0])
    with show.ProgressLine() as progress:
        progress.update(0, 3, "queued")
        progress.update(1, 3, "running")
        now[0] = show.ProgressLine.LINE_SECONDS
        progress.update(2, 3, "running")
        progress.update(2, 3, "running")
        progress.update(3, 3, "done")
        progress.update(3, 3, "done")
    assert capsys.readouterr().err.splitlines() == ["0/3 queued", "2/3 running", "3/3 done"]


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show.sys.stderr, "isatty", lambda: True)
    with show.ProgressLine() as progress:
        progress.update(1, 2, "one [queued]")
        progress.update(2, 2, "all done")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2/2" in captured.err


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_spooled_list_and_the_rest_are_one_document(capsys: pytest.CaptureFixture[str], count: int) -> None:
    rows = [{"source": f"Röntgen {number}", "state": "summarised"} for number in range(count)]
    with show.Spool("studies") as spool:
        for row in rows:
            spool.add(row)
        assert capsys.readouterr().out == "", "nothing is written before the whole is known"
        spool.write({"seconds": 1.5, "counts": {"summarised": count}})
    written = capsys.readouterr().out
    assert json.loads(written) == {"studies": rows, "seconds": 1.5, "counts": {"summarised": count}}
    if count:
        show.document({"studies": rows, "seconds": 1.5, "counts": {"summarised": count}})
        assert capsys.readouterr().out == written


@pytest.mark.parametrize(
    "name", ["a\x1b]0;title\x07.dcm", "a\x9b2J.dcm", "a\u202emcd.dcm", "a\nxraygpt: all summarised", "a\ud83d"]
)
def test_a_line_steers_no_terminal(capsys: pytest.CaptureFixture[str], name: str) -> None:
    show.say(f"{name}: too large")
    said = capsys.readouterr().err
    assert said.endswith(": too large\n")
    assert said[:-1].isprintable()


def test_a_document_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show.document({"source": "a\x1b]0;\x07\x9b2J\u202e\u200b.dcm"})
    written = capsys.readouterr().out
    assert written.replace("\n", "").isprintable()
    assert json.loads(written) == {"source": "a\x1b]0;\x07\x9b2J\u202e\u200b.dcm"}


def test_a_letter_that_the_terminal_lacks_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), "latin-1", write_through=True) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    show.lines([Text("✓ 51dc6  胸.dcm  ⚠ not verified")])
    show.paragraph("“Röntgen” 胸")
    show.say("3 of 4 done · 胸.dcm")
    out, errors = (stream.buffer.getvalue().decode("latin-1") for stream in streams)
    assert out.splitlines() == ["+ 51dc6  ?.dcm  ! not verified", '"Röntgen" ?']
    assert errors == "3 of 4 done | ?.dcm\n"
