"""The command that measures, and how figures are reported."""

import json
from pathlib import Path

import pytest
import typer

from benchmarks import cpu, figures, queries
from benchmarks.bucket import page
from benchmarks.figures import Row
from benchmarks.path import event
from xraygpt.commands.bench import SOURCE, module
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.s3_events import parse_events


def test_every_benchmark_that_can_be_run_is_known() -> None:
    assert module("queue", SOURCE / "benchmarks") == "queue"


def test_another_name_is_wrong_usage() -> None:
    with pytest.raises(typer.BadParameter, match=r"there are: .*queue"):
        module("figures", SOURCE / "benchmarks")


def test_an_installation_without_sources_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="source tree"):
        module("queue", tmp_path / "benchmarks")


def test_a_ratio_is_ours_by_theirs() -> None:
    assert Row("cost", 3.0, "ms", 2.0).ratio == 1.5
    assert Row("cost", 3.0, "ms").ratio is None


def test_the_document_has_the_agreed_form(capsys: pytest.CaptureFixture[str]) -> None:
    figures.report([Row("cost", 3.0, "ms", 2.0)], as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == [{"name": "cost", "value": 3.0, "unit": "ms", "baseline": 2.0, "ratio": 1.5}]
    assert "cores" in document["machine"]


def test_the_table_can_be_pasted_into_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    figures.report([Row("cost", 3.0, "ms", 2.0)], as_json=False)
    assert "| cost | 3 | ms | 2 | 1.5 |" in capsys.readouterr().out


def test_a_tree_pays_for_its_children_and_for_those_it_has_waited_for() -> None:
    times = {1: 1.0, 2: 2.0, 3: 4.0, 9: 8.0}
    assert cpu._tree(1, times, {1: [2], 2: [3]}) == 7.0


def test_the_computed_bucket_lists_every_key_once() -> None:
    seen, after = [], ""
    while True:
        xml = page(2500, {"start-after": [after]} if after else {})
        keys = [part.partition("<")[0] for part in xml.split("<Key>")[1:]]
        seen += keys
        after = keys[-1]
        if "<IsTruncated>false" in xml:
            break
    assert len(seen) == len(set(seen)) == 2500
    assert seen == sorted(seen)


def test_every_query_that_is_timed_stands_in_the_documentation() -> None:
    found = queries.documented((SOURCE / "docs" / "sql.md").read_text())
    assert set(found) == {"by_day", "by_finding", "by_patient", "by_model", "by_hour", "backlog_rate"}
    assert all(sql.lstrip().startswith("SELECT") for sql in found.values())


def test_the_events_that_are_sent_are_what_a_bucket_sends() -> None:
    (hint,) = parse_events(event(7)).hints
    assert (hint.bucket, hint.key, hint.etag) == ("source", "film-0000000007.dcm", f"{7:032x}")


def test_a_figure_is_told_as_soon_as_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("cost", 3.0, "ms")
    assert figures.tell(row) is row
    assert capsys.readouterr().err == "cost 3 ms\n"
