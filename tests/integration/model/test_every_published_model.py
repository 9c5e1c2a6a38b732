"""Every model of the catalogue the whole way: fetched by its one command, imported, tried, served by a worker process,
asked, and its text made again. The weights are narrow and seeded, so the texts are gibberish.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import database_roles
from tests.support.api_keys import create_api_key
from tests.support.clinical_keys import OPENS, SEALS
from tests.support.gateway_process import Gateway
from tests.support.hub_server import GOOD_TOKEN, hub_server
from tests.support.published_hub import write_narrow_catalogue
from tests.support.small_catalogue import point_at
from tests.support.vision_server import small_vision
from tests.support.whole_way import WholeWay
from tests.support.worker_bench import Bench
from xraygpt_core.model.catalogue.entries import Entry, Kind, read_catalogue
from xraygpt_core.model.catalogue.memory import DeviceMemory
from xraygpt_core.model.grounding import without_places

IN_THE_SUITE = "chexone"  # its worker loads no torch
SERVING = [entry for entry in read_catalogue().values() if entry.kind in (Kind.ENGINE, Kind.SERVER)]
SINCE = "Has the effusion changed since the prior study?"


@pytest.fixture
def way(
    bench: Bench, film: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WholeWay]:
    monkeypatch.setattr("xraygpt.commands.fetching.device_memory", lambda: DeviceMemory(10**11, is_gpu=True))
    url = database_roles.url_as("gateway", bench.settings.database_url.get_secret_value())
    gateway = Gateway(bench.settings, XRAYGPT_DATABASE_URL=url, XRAYGPT_LOG_LEVEL="INFO")
    with hub_server() as hub, small_vision() as server:
        point_at(hub, monkeypatch, tmp_path)
        for name, value in {
            "HF_TOKEN": GOOD_TOKEN,
            "XRAYGPT_MODELS": str(tmp_path / "models"),
            "XRAYGPT_GATEWAY_URL": gateway.url,
            "XRAYGPT_API_KEY": create_api_key(bench.ledger, "local"),
        }.items():
            monkeypatch.setenv(name, value)
        try:
            gateway.ready()
            yield WholeWay(bench, hub, server, write_narrow_catalogue(tmp_path), film)
        finally:
            gateway.end(signal.SIGKILL)


def check_films(bench: Bench, entry: Entry, text: dict[str, Any], before: str) -> None:
    """The text names the films that the bundle looks at, and the prior one is of the study before."""
    assert set(text["provenance"]["images"]) == set(entry.images)
    for role, image, study in (("lateral", "lateral_image", str(text["study_id"])), ("prior", "prior_image", before)):
        found = bench.rows("SELECT study_id, normalised_sha256 FROM images WHERE id = :id", id=text[image])
        assert bool(found) == (role in entry.images)
        for film in found:
            assert str(film["study_id"]) == study
            assert film["normalised_sha256"] == text["provenance"]["images"][role]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "entry",
    [pytest.param(one, id=one.name, marks=[] if one.name == IN_THE_SUITE else pytest.mark.long) for one in SERVING],
)
def test_a_published_model_goes_from_its_hub_to_a_text_that_is_made_again(entry: Entry, way: WholeWay) -> None:
    way.fetch(entry.name)
    verified = way.said("models", "verify", entry.name)
    assert (verified["ok"], bool(verified["summary"])) == (True, True)
    way.serve(entry)

    before = way.submit("20210301", "PA")
    way.summarised(before, "frontal")
    ruled = way.said("chat", before, SINCE)
    assert (ruled["answered_by"], ruled["state"]) == ("rule", "done")
    assert "shown no earlier film" in ruled["answer"]

    study = way.submit("20210302", "PA", "LATERAL")
    text = way.summarised(study, *entry.images)
    assert (text["bundle"], text["bundle_sha256"]) == (entry.name, verified["sha256"])
    check_films(way.bench, entry, text, before)
    assert text["provenance"]["template"] == (entry.template or "chat")
    assert without_places(text["summary"]) == text["summary"]
    shown = way.said("summary", study)["summary"]
    assert (shown["summary"], shown["summary_id"]) == (text["summary"], str(text["id"]))
    assert shown["scope"]["made_for"] == "research"

    asked = way.said("chat", study, "Is there an effusion?")
    assert (asked["state"], asked["answered_by"]) == ("done", "model")
    assert asked["answer"]
    compared = way.said("chat", study, SINCE)
    assert compared["answered_by"] == ("model" if "prior" in entry.images else "rule")

    again = way.said("replay", str(text["id"]), *([] if entry.kind is Kind.SERVER else ["--device", "cpu"]))
    assert (again["identical"], again["changed"]) == (True, {})


@pytest.mark.long
@pytest.mark.timeout(600)
def test_maira_2_is_shown_what_the_header_says_was_known(way: WholeWay) -> None:
    way.serve(way.fetch("maira-2"), gpu=OPENS, ingest=SEALS)
    header = {"ReasonForTheRequestedProcedure": "CANARY of cough", "BodyPartExamined": "CHEST"}
    study = way.submit("20210301", "PA", **header)
    text = way.summarised(study, "frontal")
    assert "INDICATION: [indication] TECHNIQUE: [technique]" in text["provenance"]["prompt"]
    box = way.bench.value("SELECT clinical_sha256 FROM images")
    assert text["provenance"]["clinical_sha256"] == box
    assert way.said("chat", study, "Is there an effusion?")["state"] == "done"
    assert "which only a GPU worker opens" in str(way.type("replay", str(text["id"])).exception)
    assert "CANARY" not in "".join(path.read_text() for path in way.bench.directory.glob("*.log"))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_base_without_projector_is_verified_and_no_worker_serves_it(way: WholeWay) -> None:
    entry = way.fetch("rad-dino-vicuna-7b")
    assert way.said("models", "verify", entry.name)["ok"]
    assert "has no projector" in str(way.type("models", "promote", entry.name).exception)
    worker = way.start_gpu(XRAYGPT_BUNDLE=entry.name)
    assert worker.wait(120) == 1
    assert "has no projector: train one" in way.bench.log()
    assert "Traceback" not in way.bench.log()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_judge_is_fetched_and_judges(way: WholeWay, tmp_path: Path) -> None:
    way.fetch("green")
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"id": "1", "candidate": "Clear lungs.", "reference": "No effusion."}) + "\n")
    command = ["-m", "training_jobs", "judge", "green", "--llm", str(tmp_path / "models/judges/green")]
    command += ["--texts", str(texts), "--out", str(tmp_path / "judged"), "--device", "cpu", "--max-answer-tokens", "8"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["n"], sum(result["failed"].values())) == (1, 1), "what random weights write is no verdict"
