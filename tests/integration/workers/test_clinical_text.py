"""What a header says was known when a film was asked for: sealed by ingest, opened by the GPU worker, nowhere else.

The words are canaries: every table, object and log line is searched for them.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from prometheus_client import REGISTRY

from tests.support.clinical_keys import ANOTHER_OPENER, OPENER, SEALER, SEALS
from tests.support.gpu_worker import BUNDLE, Desk, generated
from tests.support.worker_bench import Bench
from workers.consumer import Consumer
from workers.gpu import GpuJobs
from workers.ingest import Ingest
from workers.settle import Settle
from xraygpt_core.clinical_sealing import ClinicalOpener, ClinicalSealer
from xraygpt_core.db import libpq_url
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.chat import ask
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.serving import note_images
from xraygpt_core.model.backend import Clinical
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.states import ImageRole, JobKind

Film = Callable[..., bytes]
REASON, HISTORY, PROTOCOL = "CANARYREASON of cough", "CANARYHISTORY\nof fever", "CANARYPROTOCOL"
WORDS = Clinical("CANARYREASON of cough; CANARYHISTORY of fever", "CHEST; CANARYPROTOCOL")
HEADER = {
    "ReasonForTheRequestedProcedure": REASON,
    "AdditionalPatientHistory": HISTORY,
    "ProtocolName": PROTOCOL,
    "BodyPartExamined": "CHEST",
}


def ingesting(bench: Bench, sealer: ClinicalSealer | None) -> Iterator[Callable[[], None]]:
    work = Ingest(bench.context, load_pseudonymiser(bench.settings), clinical=sealer)
    bodies = {JobKind.INGEST: work, JobKind.SETTLE: Settle(bench.context)}

    def do() -> None:
        while bench.queued(JobKind.INGEST) or bench.queued(JobKind.SETTLE):  # a slow machine ends a round between both
            tick(bench.ledger)
            Consumer(bench.context, queues_of(JobKind.SETTLE, JobKind.INGEST), bodies)()

    yield do
    work.close()


@pytest.fixture
def ingest(bench: Bench) -> Iterator[Callable[[], None]]:
    yield from ingesting(bench, SEALER)


@pytest.fixture
def planted(bench: Bench, film: Film, ingest: Callable[[], None]) -> UUID:
    """A study whose header is full of canaries, up to its summarise job."""
    registered = bench.register("incoming/one.dcm", film(1, **HEADER))
    ingest()
    return registered.study_id


@pytest.fixture
def reading(desk: Desk) -> Desk:
    """A GPU worker that opens the words."""
    return opening(desk, OPENER)


def opening(desk: Desk, opener: ClinicalOpener | None) -> Desk:
    bundle: Any = SimpleNamespace(**vars(BUNDLE))
    desk.engine.answer = lambda request, _: replace(generated("Normal chest."), clinical=known(request.clinical))
    desk.reader = GpuJobs(desk.bench.context, desk.engine, bundle, desk.stopped.append, opener)
    return desk


def known(clinical: Clinical) -> tuple[str, ...]:
    return tuple(name for name, words in vars(clinical).items() if words)


def box_of(bench: Bench) -> str:
    return str(bench.value("SELECT clinical_key FROM images"))


def test_the_model_is_shown_the_words_of_the_header(reading: Desk, planted: UUID) -> None:
    reading.do(JobKind.SUMMARISE)
    assert [request.clinical for request in reading.engine.requests] == [WORDS]
    (row,) = reading.bench.rows("SELECT provenance FROM summaries")
    box = reading.bench.store.get(box_of(reading.bench))
    assert row["provenance"]["clinical_sha256"] == hashlib.sha256(box).hexdigest()
    assert row["provenance"]["clinical_sections"] == ["indication", "technique"]
    assert "clinical_shortened" not in row["provenance"]
    ask(reading.bench.ledger, planted, "Is there an effusion?")
    reading.do(JobKind.CHAT)
    assert reading.engine.requests[-1].clinical == WORDS


def test_the_words_are_in_no_table_no_object_and_no_log_line(
    reading: Desk, planted: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reading.do(JobKind.SUMMARISE)
    ask(reading.bench.ledger, planted, "Is there an effusion?")
    reading.do(JobKind.CHAT)
    bench = reading.bench
    with psycopg.connect(libpq_url(bench.settings.database_url.get_secret_value())) as connection:
        tables = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        for table in tables:
            with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:  # type: ignore[arg-type]
                assert b"CANARY" not in b"".join(bytes(block) for block in copy), table
    for key in bench.keys(bench.settings.derived_bucket):
        assert "CANARY" not in key
        assert b"CANARY" not in bench.store.get(key)
    assert "CANARY" not in caplog.text
    assert "CANARY" not in repr(reading.engine.requests)


def test_a_text_whose_model_was_shown_no_word_can_be_computed_again_and_says_what_was_left_out(
    reading: Desk, planted: UUID
) -> None:
    reading.engine.answer = lambda *_: replace(generated("Normal chest."), shortened=("technique", "indication"))
    reading.do(JobKind.SUMMARISE)
    (row,) = reading.bench.rows("SELECT provenance FROM summaries WHERE study_id = :id", id=planted)
    assert not {"clinical_sha256", "clinical_sections"} & row["provenance"].keys()
    assert row["provenance"]["clinical_shortened"] == ["technique", "indication"]


def test_words_that_were_sealed_for_another_key_are_in_no_provenance_and_counted(desk: Desk, planted: UUID) -> None:
    other, before = opening(desk, ANOTHER_OPENER), unopened()
    other.do(JobKind.SUMMARISE)
    assert unopened() == before + 1
    assert other.engine.requests[-1].clinical == Clinical()
    (row,) = other.bench.rows("SELECT provenance FROM summaries WHERE study_id = :id", id=planted)
    assert "clinical_sha256" not in row["provenance"]


def unopened() -> float:
    return REGISTRY.get_sample_value("xraygpt_words_unopened_total") or 0.0


def test_where_it_is_not_switched_on_nothing_is_kept(bench: Bench, film: Film) -> None:
    for do in ingesting(bench, None):
        bench.register("incoming/one.dcm", film(2, **HEADER))
        do()
    assert bench.rows("SELECT clinical_key, clinical_sha256 FROM images") == [
        {"clinical_key": None, "clinical_sha256": None}
    ]
    assert not [key for key in bench.keys(bench.settings.derived_bucket) if key.startswith("clinical/")]


def test_a_worker_without_the_key_or_with_another_shows_none_of_it(desk: Desk, planted: UUID) -> None:
    for opener in (None, ANOTHER_OPENER):
        opening(desk, opener).do(JobKind.SUMMARISE)
        assert desk.engine.requests[-1].clinical == Clinical()
        desk.bench.rows("UPDATE jobs SET state = 'queued', finished_at = NULL WHERE kind = 'summarise' RETURNING id")
        desk.bench.rows("DELETE FROM labelled_texts RETURNING source_id")
        desk.bench.rows("DELETE FROM summaries RETURNING id")


def test_a_box_that_was_changed_in_the_bucket_is_not_opened(reading: Desk, planted: UUID) -> None:
    reading.bench.store.put(box_of(reading.bench), b"something else", "application/octet-stream")
    reading.do(JobKind.SUMMARISE)
    assert reading.engine.requests == []
    assert reading.bench.value("SELECT count(*) FROM summaries") == 0


def test_a_purge_removes_the_box(bench: Bench, planted: UUID) -> None:
    assert [key for key in bench.keys(bench.settings.derived_bucket) if key.startswith("clinical/")]
    purge_study(bench.ledger, planted, bench.store.delete)
    assert bench.keys(bench.settings.derived_bucket) == []
    assert bench.rows("SELECT clinical_key, clinical_sha256 FROM images") == [
        {"clinical_key": None, "clinical_sha256": None}
    ]


def test_a_film_that_is_read_again_keeps_its_one_box(bench: Bench, planted: UUID, ingest: Callable[[], None]) -> None:
    before = bench.keys(bench.settings.derived_bucket)
    again = "UPDATE jobs SET state = 'queued', finished_at = NULL, attempts = 0 WHERE kind = 'ingest' RETURNING id"
    bench.rows(again)
    ingest()
    assert bench.keys(bench.settings.derived_bucket) == before


def test_an_ingest_process_seals_the_words_and_finds_the_lateral_and_the_prior(bench: Bench, film: Film) -> None:
    note_images(bench.ledger, "demo", list(ImageRole))
    same = {"PatientID": "P", **HEADER}
    before = bench.register("incoming/1.dcm", film(1, **same, AcquisitionDate="20210301"))
    bench.start("ingest", **SEALS)
    bench.until("SELECT count(*) FROM studies WHERE chosen_image IS NOT NULL", 1, "the first study is settled")
    later = {"study": "1.2.3", "AcquisitionDate": "20210302"}
    lateral = bench.register("incoming/3.dcm", film(3, **same, **later, view="LATERAL"))
    bench.register("incoming/2.dcm", film(2, **same, **later))
    looks = "SELECT count(*) FROM studies WHERE chosen_lateral = :lateral AND chosen_prior = :prior"
    found = {"lateral": lateral.image_id, "prior": before.image_id}
    bench.eventually(lambda: bench.value(looks, **found), "the lateral and the prior are found")
    boxes = [row["clinical_key"] for row in bench.rows("SELECT clinical_key FROM images ORDER BY id")]
    assert len(set(boxes)) == 3
    assert OPENER.open(before.image_id, bench.store.get(boxes[0])).indication == WORDS.indication
    assert "CANARY" not in bench.log()
