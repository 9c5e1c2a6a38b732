"""A GPU worker whose model a chat server has: no torch in it, and no study lost, whatever happens to either."""

import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image

from tests.support.invariants import check_invariants
from tests.support.vision_server import SmallVision, VisionProcess, small_vision, vision_bundle, whole
from tests.support.worker_bench import Bench
from xraygpt_core.exit_codes import BROKEN, START_AGAIN
from xraygpt_core.ledger.studies.chat import ask, transcript
from xraygpt_core.ledger.training.serving import serve, served_bundle

STUDIES = 12


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (96, 96), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[SmallVision]:
    with small_vision() as made:
        yield made


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """What a worker is started with. A module that raises when it is imported stands in the place of torch."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "torch.py").write_text('raise ImportError("torch is not installed here")\n')
    return {
        "XRAYGPT_MODELS": str(tmp_path / "models"),
        "XRAYGPT_BUNDLE": "vision",
        "XRAYGPT_BATCH_SIZE": "4",
        "PYTHONPATH": f"{tmp_path / 'without'}:{':'.join(path for path in sys.path if path)}",
    }


def critical(bench: Bench) -> str:
    """The one critical line of a worker's log."""
    (line,) = [line for line in bench.log().splitlines() if '"CRITICAL"' in line]
    assert "Traceback" not in bench.log()
    return line


def test_studies_and_questions_go_to_the_server_until_another_bundle_is_served(
    bench: Bench, server: SmallVision, given: dict[str, str], tmp_path: Path
) -> None:
    bundle = vision_bundle(tmp_path / "models", server.url, think=["<think>", "</think>"])
    server.scripts = [whole("<think>A nodule? No.</think>Findings: Clear lungs. Impression: Normal.")]
    study = bench.settled(1, png=png(1))
    worker = bench.start("gpu", **given)
    bench.until("SELECT count(*) FROM study_summaries", 1, "the study is summarised")
    (row,) = bench.rows("SELECT findings, impression, summary, bundle, bundle_sha256, reasoning FROM study_summaries")
    assert row == {
        "findings": "Clear lungs.",
        "impression": "Normal.",
        "summary": "Findings: Clear lungs. Impression: Normal.",
        "bundle": "vision",
        "bundle_sha256": bundle.sha256,
        "reasoning": "A nodule? No.",
    }
    provenance: dict[str, Any] = bench.value("SELECT provenance FROM summaries")
    assert provenance["software"]["server"] == server.url
    assert provenance["scope"] == bundle.scope.document()

    server.scripts = [whole("<think>Hm.</think>No, it is not.")]
    ask(bench.ledger, study, "Is the heart enlarged?")
    bench.eventually(lambda: transcript(bench.ledger, study)[0].state == "done", "the question is answered")
    assert transcript(bench.ledger, study)[0].answer == "No, it is not."
    assert bench.rows("SELECT answer, reasoning FROM chat_transcripts") == [
        {"answer": "No, it is not.", "reasoning": "Hm."}
    ]
    asked = [message["content"] for message in server.asked[1]["messages"][1:]]
    assert asked == ["Findings: Clear lungs. Impression: Normal.", "Is the heart enlarged?"]

    assert served_bundle(bench.ledger).name == "vision"
    serve(bench.ledger, "other")
    assert worker.wait(120) == START_AGAIN


def test_a_key_that_expires_ends_the_worker_and_costs_no_attempt(
    bench: Bench, server: SmallVision, given: dict[str, str], tmp_path: Path
) -> None:
    vision_bundle(tmp_path / "models", server.url, api_key_env="XRAYGPT_SERVER_KEY")
    server.key = "sesame"
    worker = bench.start("gpu", **given, XRAYGPT_SERVER_KEY="sesame")
    bench.settled(1, png=png(1))
    bench.until("SELECT count(*) FROM study_summaries", 1, "the first study is summarised")
    server.key = "another"
    bench.settled(2, png=png(2))
    bench.until("SELECT count(*) FROM jobs WHERE kind = 'summarise' AND claimed_by IS NOT NULL", 2, "it was tried")
    assert worker.wait(120) == BROKEN
    assert "XRAYGPT_SERVER_KEY must hold its key" in critical(bench)
    assert bench.rows("SELECT state, attempts FROM jobs WHERE kind = 'summarise' AND state <> 'done'") == [
        {"state": "queued", "attempts": 0}
    ]


def about_its_film(bench: Bench, pngs: dict[Any, bytes]) -> bool:
    """Is each study's current text about its own film?"""
    rows = bench.rows("SELECT study_id, summary FROM study_summaries")
    return all(hashlib.sha256(pngs[row["study_id"]]).hexdigest()[:16] in row["summary"] for row in rows)


def test_server_and_workers_are_killed_and_each_study_is_summarised_once(
    bench: Bench, given: dict[str, str], tmp_path: Path, database_url: str
) -> None:
    server = VisionProcess()
    vision_bundle(tmp_path / "models", server.url, timeout=5.0)
    pngs = {bench.settled(number, png=png(number)): png(number) for number in range(STUDIES)}
    server.start()
    workers = [bench.start("gpu", **given) for _ in range(2)]
    try:
        for done, victim in enumerate(["server", "worker", "server"], 1):
            bench.until("SELECT count(*) >= LEAST(:n, 12) FROM study_summaries", True, "some are done", n=2 * done)
            if victim == "server":
                server.kill()
                server.start()
            else:
                bench.lose(workers.pop(0))
                workers.append(bench.start("gpu", **given))
        bench.until("SELECT count(*) FROM study_summaries", STUDIES, "all are summarised")
    finally:
        server.kill()
    with psycopg.connect(database_url) as connection:
        counts = check_invariants(connection, finished=True)
    assert counts["dead"] == 0
    assert bench.value("SELECT count(*) FROM summaries") == STUDIES
    assert about_its_film(bench, pngs)
