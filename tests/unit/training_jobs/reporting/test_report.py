"""A run's report: everything the page must say, nothing that acts, and no run lost by it."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from training_jobs.__main__ import main
from training_jobs.reporting import report as report_module
from training_jobs.reporting.report import report_in_child, write_report
from training_jobs.reporting.style import POLICY
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.projector import LinearProjector, save_projector
from xraygpt_core.training.config import Config, parse_config
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.pairs import read_pairs, write_pairs

CONFIG = replace(Config(), steps=9, examples=3)
HOSTILE = "</dd><script>alert(1)</script> & \x1b[2J \u202e \udcff ```"
SHORT = replace(CONFIG, examples=0)


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def written(out: Path, base: Bundle, corpora: list[Corpus], config: Config = CONFIG) -> Page:
    file = write_report(out, base, config, corpora, ask=lambda _: None, notify=lambda *_: None, device="cpu")
    return Page(file.read_text())


def test_the_page_has_all_that_a_reader_asks_for(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    page = written(done, tiny_bundle, [corpus])
    for told in (
        "AI-generated drafts, not a diagnosis",
        "stage1",
        tiny_bundle.sha256,
        corpus.encoder,
        "not said",  # the licence
        "checkpoint_every",
        "held out, images swapped",
        "3 films of the val split",
        "the most frequent report",
        "asked the same of another patient's film",
        "asked the same of a black picture",
        "Findings: Left pleural effusion. Impression: Effusion.",
        "python -m training_jobs stage1 --base tiny --out OUT --config config.json",
    ):
        assert told in page.text, told
    assert page.tags.count("img") == 3
    assert page.tags.count("svg") == 3


def test_the_page_counts_each_set_and_what_was_dropped_of_it(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    written(done, tiny_bundle, [corpus], SHORT)
    html = (done / "result/report.html").read_text()
    assert re.search(
        r'<th scope="row">a</th><td></td><td>1</td><td>6</td><td>4</td><td>0</td><td>10</td><td>not said</td>', html
    )
    assert "<td>lateral</td><td>7</td>" in html
    assert "secret.csv" not in html


def test_nothing_on_the_page_acts_or_is_loaded(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    shard = corpus.path / corpus.shards[1].pairs
    write_pairs(shard, [replace(pair, text=HOSTILE, set_name=HOSTILE) for pair in read_pairs(shard)])
    page = written(done, tiny_bundle, [corpus])
    assert "script" not in page.tags
    assert "<script>alert(1)</script> &" in page.text
    assert not {"\x1b", "\u202e"} & set(page.text)
    addresses = [value for name, value in page.attributes if name in ("src", "href")]
    assert addresses
    assert all(value.startswith("data:image/jpeg;base64,") for value in addresses)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert ("content", POLICY) in page.attributes


def test_no_path_of_this_machine_is_on_the_page(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    sets = [{"name": "a", "reader": "manifest", "path": "/elsewhere/someone/films", "licence": "CC0", "weight": 2.0}]
    config = parse_config({"steps": 9, "examples": 1, "mixture": {"sets": sets}, "films": "/elsewhere/someone"})
    page = written(done, tiny_bundle, [corpus], config)
    assert "someone" not in page.text
    assert str(done) not in page.text
    assert '"path": "PATH OF a"' in page.text
    assert "CC0" in page.text


def test_the_configuration_on_the_page_repeats_the_run(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    config = parse_config({"steps": 9, "lr": 0.5, "examples": 0, "llm": {"tune": "lora", "rank": 4}, "text": {}})
    page = written(done, tiny_bundle, [corpus], config)
    assert parse_config(json.loads(page.text.partition("config.json:")[2].strip())) == config


def test_what_a_preset_says_stands_beside_what_the_run_has(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    config = parse_config({"preset": "paper-stage1", "epochs": None, "steps": 9, "examples": 0})
    text = written(done, tiny_bundle, [corpus], config).text
    assert "paper-stage1" in text
    assert "published" in text
    assert "changed by this run" in text


def test_the_page_calls_a_language_model_trained_where_the_result_holds_one(done: Path, tiny_bundle: Bundle) -> None:
    assert "frozen" in written(done, tiny_bundle, []).text
    (done / "result" / "adapter").mkdir()
    assert "trained, with an adapter (LoRA)" in written(done, tiny_bundle, []).text
    (done / "result" / "llm").mkdir()
    assert "trained, every weight" in written(done, tiny_bundle, []).text


def test_a_run_without_films_says_so(done: Path, tiny_bundle: Bundle) -> None:
    text = written(done, tiny_bundle, []).text
    assert "trained on text alone" in text
    assert "There are none: no film was read." in text


def test_a_bundle_that_does_not_load_costs_the_examples_and_not_the_page(
    done: Path, tiny_bundle: Bundle, corpus: Corpus
) -> None:
    save_projector(LinearProjector(3, 5), done / "result/projector.safetensors")
    page = written(done, tiny_bundle, [corpus], CONFIG)
    assert "There are none: the trained bundle wrote no text" in page.text
    assert "checkpoint_every" in page.text


def test_without_a_projector_there_is_nothing_to_show(done: Path, tiny_base: Bundle, corpus: Corpus) -> None:
    (done / "result/projector.safetensors").unlink()
    assert "has no projector yet" in written(done, tiny_base, [corpus]).text


def test_films_that_were_trained_on_are_called_so(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    for shard in corpus.shards:
        pairs = [replace(pair, split="train") for pair in read_pairs(corpus.path / shard.pairs)]
        write_pairs(corpus.path / shard.pairs, pairs)
    assert "None was kept back: these films were trained on." in written(done, tiny_bundle, [corpus]).text


def test_a_run_without_progress_is_reported_all_the_same(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    (done / "progress.jsonl").unlink()
    assert "left no progress to draw" in written(done, tiny_bundle, [corpus], SHORT).text


def test_the_bundle_that_wrote_the_examples_is_gone_afterwards(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    before = set(tiny_bundle.path.parent.iterdir())
    written(done, tiny_bundle, [corpus])
    assert set(tiny_bundle.path.parent.iterdir()) == before


def test_examples_stand_in_the_board_too(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    written(done, tiny_bundle, [corpus])
    [file] = (done / "tensorboard").iterdir()
    assert b"Left pleural effusion" in file.read_bytes()


def test_a_folder_without_a_result_is_refused(tmp_path: Path, tiny_bundle: Bundle) -> None:
    with pytest.raises(TrainingError, match="has no result"):
        written(tmp_path, tiny_bundle, [])


def test_the_command_writes_the_report(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    words = ["report", "--base", str(tiny_bundle.path), "--out", str(done), "--corpus", str(corpus.path)]
    assert main([*words, "--device", "cpu"]) == 0
    assert "3 films of the val split" in (done / "result/report.html").read_text()


@pytest.mark.long
def test_a_process_of_its_own_writes_the_report(
    done: Path, tiny_bundle: Bundle, corpus: Corpus, capfd: pytest.CaptureFixture[str]
) -> None:
    assert report_in_child(done, tiny_bundle, replace(CONFIG, examples=2), [corpus])
    assert "2 films of the val split" in (done / "result/report.html").read_text()
    assert sorted(path.name for path in done.iterdir()) == ["progress.jsonl", "result", "tensorboard"]


def test_a_report_that_fails_is_said_and_loses_nothing(
    done: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((done / "result").iterdir())
    monkeypatch.setattr(report_module, "_run", lambda _: -9)
    assert not report_in_child(done, tiny_bundle, CONFIG, [])
    assert "the report was not written (exit -9); the result is complete" in capsys.readouterr().err
    assert sorted((done / "result").iterdir()) == before


def test_sigterm_ends_the_report_and_not_the_run() -> None:
    before = signal.getsignal(signal.SIGTERM)
    asks = "import os, signal; os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    assert report_module._run([sys.executable, "-c", asks]) == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_report_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "_SECONDS", 0.05)
    assert report_module._run([sys.executable, "-c", "import signal; signal.pause()"]) == -signal.SIGKILL


def test_the_page_needs_no_run_to_be_understood(done: Path, tiny_bundle: Bundle, corpus: Corpus) -> None:
    """Its one file is enough: nothing beside it is named."""
    written(done, tiny_bundle, [corpus], SHORT)
    moved = (done / "result/report.html").rename(done.parent / "elsewhere.html")
    assert subprocess.run(["grep", "-c", "url(", moved], capture_output=True, text=True, check=False).stdout == "0\n"
