"""The options of ``curate``: what fits together, what is asked, and what a dry run says."""

import json
from pathlib import Path

import pytest

from tests.support.chat_server import chat_server, said
from tests.support.report_archives import folder_of, small_collection, tar_of
from training_jobs.__main__ import main
from training_jobs.curation.prompts import read_prompts
from xraygpt_core.errors import TrainingError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tar_of(tmp_path / "a.tgz", small_collection(4)))


def test_the_counts_are_printed(archive: str, capsys: Capture) -> None:
    assert main(["curate", "--rules-only", archive]) == 0
    assert json.loads(capsys.readouterr().out) == {"read": 4, "kept": 4, "dropped": {}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--endpoint", "http://127.0.0.1:1", "--base", "b"], "two ways"),
        (["--rules-only", "--base", "b"], "two ways"),
        (["--endpoint", "http://127.0.0.1:1", "--out", "o"], "needs --model"),
        (["--endpoint", "http://127.0.0.1:1", "--model", "m"], "name it with --out"),
        (["--endpoint", "https://api.example.org", "--model", "m", "--out", "o"], "--send-reports-out"),
        (["--endpoint", "http://127.0.0.1:1", "--model", "m", "--out", "o", "--max-cost", "3"], "needs --price-in"),
        (["--dry-run"], "name one with --endpoint or --base"),
        (["--column", "a=b"], "--column is for csv and jsonl"),
        (["--reader", "csv", "--column", "ab"], "is not OURS=THEIRS"),
        (["--images", "nowhere"], "there is no folder"),
        (["--images", "."], "--images is for mimic-cxr"),
        (["--base", "nowhere", "--out", "o"], "there is no bundle"),
        (["--endpoint", "http://127.0.0.1:1", "--model", "m", "--out", "o", "--prompts", "nowhere"], "readable prompt"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(
    archive: str, options: list[str], message: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["curate", archive, *options]) == 1
    said_last = capsys.readouterr().err.strip()
    assert message in said_last
    assert "\n" not in said_last
    assert not (tmp_path / "o" / "state").exists()


@pytest.mark.parametrize(
    "options", [["--first", "0"], ["--max-cost", "-1"], ["--max-cost", "nan"], ["--parallel", "x"]]
)
def test_numbers_that_mean_nothing_are_wrong_usage(archive: str, options: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["curate", archive, *options])
    assert ended.value.code == 2


def test_a_source_that_is_not_there_is_an_error(capsys: Capture) -> None:
    assert main(["curate", "nowhere.tgz"]) == 1
    assert "there is no nowhere.tgz" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_taken_for_a_folder(archive: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["curate", archive, "--out", str(tmp_path / "notes.txt")]) == 1
    assert "is a file; name a folder" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_no_room_for_what_is_written_is_the_machines_failure(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training_jobs.curation.journal.append", full)
    assert main(["curate", archive, "--out", str(tmp_path / "out")]) == 74
    assert "No space left on device; what is done is kept, start the same command again" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["curate", archive, "--out", str(tmp_path / "out")]) == 0


def test_only_the_first_reports_are_read(archive: str, capsys: Capture) -> None:
    main(["curate", archive, "--first", "2"])
    assert json.loads(capsys.readouterr().out)["read"] == 2


def test_a_dry_run_asks_nobody_and_says_the_cost(archive: str, capsys: Capture) -> None:
    with chat_server(lambda _: said("x")) as server:
        line = ["curate", archive, "--endpoint", server.url, "--model", "m", "--dry-run"]
        assert main([*line, "--price-in", "2", "--price-out", "8", "--requests-per-minute", "2"]) == 0
        assert server.asked == []
    told = json.loads(capsys.readouterr().out)
    assert (told["read"], told["calls"], told["dry_run"], told["minutes_at_least"]) == (4, 4, True, 2.0)
    assert told["cost"] == pytest.approx((told["tokens_in"] * 2 + told["tokens_out"] * 8) / 1e6, abs=1e-4)
    assert told["tokens_in"] > 4 * 300


def test_a_dry_run_of_an_endpoint_elsewhere_needs_no_permission(archive: str) -> None:
    assert main(["curate", archive, "--endpoint", "https://api.example.org", "--model", "m", "--dry-run"]) == 0


def test_the_key_comes_from_the_environment_alone(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("XRAYGPT_CURATE_API_KEY", "sesame")
    out = tmp_path / "out"
    with chat_server(lambda _: said("There is nothing of that kind to see.")) as server:
        assert main(["curate", archive, "--endpoint", server.url, "--model", "m", "--out", str(out)]) == 0
        assert set(server.keys) == {"Bearer sesame"}
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"sesame" not in written
    assert "sesame" not in "".join(capsys.readouterr())


def test_what_is_written_is_for_its_owner_alone(archive: str, tmp_path: Path) -> None:
    assert main(["curate", archive, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_our_prompts_have_a_place_for_the_report_and_say_what_the_paper_asks() -> None:
    prompts = read_prompts()
    first = prompts.first("F-text", "I-text")
    assert "F-text" in first
    assert "I-text" in first
    for word in ("comparison", "views", "___", "Merge"):
        assert word in first
    second = prompts.second("F-text", "I-text", "before", ["lost (nodule)", "added (mass)"])
    assert "- lost (nodule)\n- added (mass)" in second
    assert "before" in second


def test_prompts_of_ones_own_are_read_and_have_another_hash(tmp_path: Path) -> None:
    texts = {"system.txt": b"s", "summary.txt": b"{findings} {impression}", "again.txt": b"{findings}{impression}"}
    assert read_prompts(folder_of(tmp_path, texts)).sha256 != read_prompts().sha256


def test_a_prompt_without_a_place_for_the_report_is_an_error(tmp_path: Path) -> None:
    texts = {"system.txt": b"s", "summary.txt": b"{findings}", "again.txt": b"{findings}{impression}"}
    with pytest.raises(TrainingError, match=r"must have \{findings\} and \{impression\}"):
        read_prompts(folder_of(tmp_path, texts))
