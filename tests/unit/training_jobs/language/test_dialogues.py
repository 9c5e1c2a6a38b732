"""The dialogues of some files: counted, told apart, refused with file and line before anything is trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from training_jobs.language.dialogues import Dialogues, Reading, read_dialogues
from training_jobs.language.keywords import keyword_list
from training_jobs.language.select import select
from xraygpt_core.errors import TrainingError


def row(question: str, answer: str) -> dict[str, Any]:
    return {"instruction": question, "input": "", "output": answer}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def named(*paths: Path) -> list[tuple[str, Path]]:
    return [(f"conversations.files[{number}]", path) for number, path in enumerate(paths)]


def test_dialogues_of_several_files_are_read_by_number(tmp_path: Path) -> None:
    one, two = lines(tmp_path / "a", row("a", "1"), row("b", "2")), lines(tmp_path / "b", row("c", "3"))
    with Dialogues(named(one, two), None) as dialogues:
        assert [dialogues[number] for number in (2, 0, 1)] == [(("c", "3"),), (("a", "1"),), (("b", "2"),)]
        assert list(dialogues.sizes) == [2, 2, 2]


def test_equal_dialogues_count_once_whatever_file_and_form_they_stand_in(tmp_path: Path) -> None:
    same = {"conversations": [{"from": "human", "value": "a "}, {"from": "gpt", "value": "1"}]}
    with Dialogues(named(lines(tmp_path / "a", row("a", "1")), lines(tmp_path / "b", same)), None) as dialogues:
        assert len(dialogues) == 1
        assert dialogues.reading.dropped == {"repeated": 1}


def test_a_keyword_list_chooses(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", row("My knee hurts", "Rest."), row("I had a chest X-ray", "It is normal."))
    with Dialogues(named(file), keyword_list("chest-imaging")) as dialogues:
        assert [dialogues[0][0][0], len(dialogues)] == ["I had a chest X-ray", 1]
        assert dialogues.reading.dropped == {"no_keyword": 1}


def test_problems_are_told_with_file_line_and_number_and_quote_no_text(tmp_path: Path) -> None:
    good, bad = lines(tmp_path / "a", row("a", "1")), lines(tmp_path / "b", row("a", "1"), row("secret", ""), [])
    with pytest.raises(TrainingError) as raised:
        Dialogues(named(good, bad), None)
    told = str(raised.value)
    assert "conversations.files[1], line 2 (record 2): answer 1 is empty" in told
    assert "conversations.files[1], line 3 (record 3): the record is no object" in told
    assert "2 problems" in told
    assert "secret" not in told
    assert str(tmp_path) not in told


def test_of_many_problems_twenty_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"50 problems.*line 20 .*and 30 more$"):
        Dialogues(named(lines(tmp_path / "a", *[row("a", "")] * 50)), None)


@pytest.mark.parametrize("content", [b"", b"  \n ", b"[]"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(TrainingError, match=r"conversations.files\[0\] holds no records"):
        Dialogues(named(tmp_path / "a"), None)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nope", Path("/dev/zero")):
        with pytest.raises(TrainingError, match="is no file"):
            Dialogues(named(path), None)


def test_a_list_that_nothing_meets_says_what_was_left_out(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no dialogue is left to learn from: 1 were read, 1 no_keyword"):
        Dialogues(named(lines(tmp_path / "a", row("a", "1"))), keyword_list("radiology"))


def test_other_dialogues_have_another_hash(tmp_path: Path) -> None:
    hashes = set()
    for number, rows in enumerate([[row("a", "1")], [row("a", "2")], [row("a", "1"), row("b", "1")]]):
        with Dialogues(named(lines(tmp_path / str(number), *rows)), None) as dialogues:
            hashes.add(dialogues.sha256)
    assert len(hashes) == 3


def test_select_writes_what_training_takes_and_counts_the_rest(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "a", row("CT scan", "é\n\u2028"), row("knee", "x"), row("CT", ""), row("CT scan", "é\n\u2028")
    )
    counts = select([file], "radiology", tmp_path / "out.json")
    assert (counts["read"], counts["kept"]) == (4, 1)
    assert counts["dropped"] == {"no_keyword": 1, "repeated": 1, "unusable": 1}
    assert counts["problems"] == [f"{file}, line 3 (record 3): answer 1 is empty"]
    with Dialogues(named(tmp_path / "out.json"), None) as dialogues:
        assert dialogues[0] == (("CT scan", "é"),)
    (record,) = json.loads((tmp_path / "out.json").read_text())
    assert [turn["from"] for turn in record["conversations"]] == ["human", "gpt"]


def test_select_without_a_list_cleans_a_file(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", row("a", "1"), row("b", ""), row("c", "3"))
    assert select([file], None, tmp_path / "out.json")["kept"] == 2


def test_select_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("before")
    with pytest.raises(TrainingError, match="is no file"):
        select([lines(tmp_path / "a", row("a", "1")), tmp_path / "nope"], None, tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out.json"]


def test_a_file_may_be_selected_from_into_itself(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", row("a", "1"), row("a", "1"))
    assert select([file], None, file)["kept"] == 1
    assert len(json.loads(file.read_text())) == 1


def test_reading_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training_jobs.language.dialogues._NOTICE", 2)
    seen: list[int] = []
    list(read_dialogues(named(lines(tmp_path / "a", *[row("a", "1")] * 5)), None, Reading(), seen.append))
    assert seen == [2, 4]
