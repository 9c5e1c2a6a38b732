"""The GPU worker as a process, with a tiny bundle of random weights: the real engine, whatever it writes."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.clinical_keys import OPENS, SEALER
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.worker_bench import Bench
from xraygpt_core.clinical_sealing import box_key
from xraygpt_core.clinical_text import Clinical
from xraygpt_core.exit_codes import START_AGAIN
from xraygpt_core.ledger.studies.chat import ask, transcript
from xraygpt_core.ledger.training.serving import serve, served_bundle
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.states import ImageRole

CPU = {"XRAYGPT_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "XRAYGPT_BATCH_SIZE": "4"}


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (256, 256), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def tiny(models: Path) -> Bundle:
    make_tiny_bundle(models, "other")
    return make_tiny_bundle(models, "tiny", max_new_tokens=4)


def test_a_gpu_worker_summarises_answers_and_leaves_for_a_new_bundle(bench: Bench, tiny: Bundle, models: Path) -> None:
    studies = [bench.settled(number, png=png(number)) for number in range(3)]
    worker = bench.start("gpu", XRAYGPT_MODELS=str(models), XRAYGPT_BUNDLE="tiny", **CPU)
    bench.until("SELECT count(*) FROM study_summaries", 3, "three studies are summarised")
    assert served_bundle(bench.ledger).name == "tiny"
    assert bench.value("SELECT served_images FROM installation") == ["frontal"]
    stamped = bench.rows("SELECT DISTINCT bundle, bundle_sha256 FROM study_summaries")
    assert stamped == [{"bundle": "tiny", "bundle_sha256": tiny.sha256}]

    ask(bench.ledger, studies[0], "Is the heartbeat enlarged?")
    bench.eventually(lambda: transcript(bench.ledger, studies[0])[0].state == "done", "the question is answered")

    serve(bench.ledger, "other")
    assert worker.wait(120) == START_AGAIN


def test_a_gpu_worker_shows_its_model_three_films_and_what_was_known(bench: Bench, models: Path) -> None:
    prompt = {"template": "maira-2", "question": "Q", "stop": ["</s>"], "images": list(ImageRole)}
    make_tiny_bundle(models, "three", image_tokens=3, max_new_tokens=4, prompt=prompt)
    pngs = [png(30 + number) for number in range(3)]
    study, *others = [bench.settled(30 + number, png=one) for number, one in enumerate(pngs)]
    frontal, lateral, prior = (
        bench.value("SELECT id FROM images WHERE study_id = :id", id=one) for one in (study, *others)
    )
    words = SEALER.seal(frontal, Clinical("CANARY of cough"))
    assert words is not None
    key, sha256 = box_key(words)
    bench.store.put(key, words, "application/octet-stream")
    for sql in (
        "UPDATE jobs SET state = 'cancelled', finished_at = now() WHERE subject = ANY (:others) RETURNING id",
        "UPDATE images SET study_id = :study, view = 'LATERAL' WHERE id = :lateral RETURNING id",
        "UPDATE images SET clinical_key = :key, clinical_sha256 = :sha256 WHERE id = :frontal RETURNING id",
        "UPDATE studies SET chosen_lateral = :lateral, chosen_prior = :prior WHERE id = :study RETURNING id",
    ):
        values = {"study": study, "others": others, "frontal": frontal, "lateral": lateral, "prior": prior}
        bench.rows(sql, **values, key=key, sha256=sha256)
    bench.one_patient(study, others[1])
    given = {**OPENS, **CPU}
    bench.start("gpu", XRAYGPT_MODELS=str(models), XRAYGPT_BUNDLE="three", **given)
    bench.until("SELECT count(*) FROM study_summaries", 1, "the study is summarised")
    (row,) = bench.rows("SELECT provenance, lateral_image, prior_image FROM summaries")
    hashes = [hashlib.sha256(one).hexdigest() for one in pngs]
    assert row["provenance"]["images"] == dict(zip(ImageRole, hashes, strict=True))
    assert row["provenance"]["clinical_sha256"] == sha256
    assert "INDICATION: [indication]" in row["provenance"]["prompt"]
    assert (row["lateral_image"], row["prior_image"]) == (lateral, prior)
    assert set(bench.value("SELECT served_images FROM installation")) == set(ImageRole)
    assert "CANARY" not in bench.log()


def test_a_bundle_that_is_not_there_is_one_sentence(bench: Bench, models: Path) -> None:
    worker = bench.start("gpu", XRAYGPT_MODELS=str(models), XRAYGPT_BUNDLE="vicuna", **CPU)
    assert worker.wait(120) == 1
    (line,) = [line for line in bench.log().splitlines() if "CRITICAL" in line]
    assert "vicuna" in line
    assert "Traceback" not in bench.log()


def test_a_killed_gpu_workers_studies_are_summarised_once(bench: Bench, tiny: Bundle, models: Path) -> None:
    for number in range(10, 22):
        bench.settled(number, png=png(number))
    given = {"XRAYGPT_MODELS": str(models), "XRAYGPT_BUNDLE": "tiny", **CPU}
    first = bench.start("gpu", **given)
    bench.until("SELECT count(*) > 0 FROM jobs WHERE kind = 'summarise' AND state <> 'queued'", True, "some run")
    bench.lose(first)
    bench.start("gpu", **given)
    bench.until("SELECT count(*) FROM study_summaries", 12, "all are summarised")
    assert bench.value("SELECT count(*) FROM summaries WHERE superseded_at IS NULL") == 12
