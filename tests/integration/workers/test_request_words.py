"""What a request says of its films: sealed by the gateway, opened by the GPU worker, before the header's words.

The words are canaries: every table, object and log line is searched for them.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from fastapi.testclient import TestClient

from api_gateway.app import create_app
from tests.integration.workers.test_clinical_text import ingesting, opening
from tests.support.api_keys import create_api_key
from tests.support.clinical_keys import OPENER, SEALER
from tests.support.gpu_worker import Desk
from tests.support.worker_bench import Bench
from xraygpt_core.clinical_sealing import ClinicalSealer
from xraygpt_core.clinical_text import Clinical
from xraygpt_core.db import libpq_url
from xraygpt_core.ledger.studies.chat import ask
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.serving import note_images
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.states import ImageRole, JobKind, KeyKind, Role

Film = Callable[..., bytes]
HEADER = {"ReasonForTheRequestedProcedure": "of the header", "ProtocolName": "Thorax p.a."}
SAID = {"indication": "CANARYREASON of\n cough", "comparison": "CANARYCOMPARED"}
WORDS = Clinical("CANARYREASON of cough", "CHEST; Thorax p.a.", "CANARYCOMPARED")


@pytest.fixture
def gateway(bench: Bench) -> Iterator[TestClient]:
    with TestClient(made(bench, SEALER), headers=key(bench), raise_server_exceptions=False) as client:
        yield client


def made(bench: Bench, sealer: ClinicalSealer | None) -> Any:
    return create_app(bench.ledger, bench.store, load_pseudonymiser(bench.settings), clinical=sealer)


def key(bench: Bench) -> dict[str, str]:
    return {"X-API-Key": create_api_key(bench.ledger, "sender", KeyKind.PERSON, [Role.OPERATOR])}


@pytest.fixture
def ingest(bench: Bench) -> Iterator[Callable[[], None]]:
    yield from ingesting(bench, SEALER)


@pytest.fixture
def reading(desk: Desk) -> Desk:
    """A GPU worker that opens the words."""
    return opening(desk, OPENER)


def send(gateway: TestClient, *uris: str, **more: Any) -> Any:
    return gateway.post("/v1/studies", json={"objects": [{"uri": uri} for uri in uris], **more})


def submit(gateway: TestClient, *uris: str, **more: Any) -> UUID:
    answer = send(gateway, *uris, **more)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["images"][0]["study_id"])


def put(bench: Bench, film: bytes, name: str = "one") -> str:
    return bench.upload(f"incoming/{name}.dcm", film).uri


@pytest.fixture
def uri(bench: Bench, film: Film) -> str:
    return put(bench, film(1, **HEADER))


def shown(desk: Desk) -> list[Clinical]:
    return [request.clinical for request in desk.engine.requests]


def test_the_model_is_shown_the_words_of_the_request_before_those_of_the_header(
    reading: Desk, gateway: TestClient, ingest: Callable[[], None], uri: str
) -> None:
    submit(gateway, uri, **SAID)
    ingest()
    reading.do(JobKind.SUMMARISE)
    assert shown(reading) == [WORDS]
    (row,) = reading.bench.rows("SELECT provenance FROM summaries")
    (kept,) = reading.bench.rows("SELECT box, sha256 FROM request_words")
    assert row["provenance"]["request_sha256"] == kept["sha256"] == hashlib.sha256(kept["box"]).hexdigest()
    assert row["provenance"]["clinical_sha256"] == reading.bench.value("SELECT clinical_sha256 FROM images")


def test_the_words_are_in_no_table_no_object_no_log_line_and_no_metric(
    reading: Desk, gateway: TestClient, ingest: Callable[[], None], uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway.headers["Idempotency-Key"] = "once"
    study = submit(gateway, uri, **SAID)
    assert submit(gateway, uri, **SAID) == study
    refused = send(gateway, uri, indication="CANARY\x07", technique="CANARY" * 500)
    assert refused.status_code == 422
    assert "CANARY" not in refused.text
    ingest()
    reading.do(JobKind.SUMMARISE)
    bench = reading.bench
    ask(bench.ledger, bench.value("SELECT study_id FROM summaries"), "Is there an effusion?")
    reading.do(JobKind.CHAT)
    assert shown(reading) == [WORDS, WORDS]
    with psycopg.connect(libpq_url(bench.settings.database_url.get_secret_value())) as connection:
        tables = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        for table in tables:
            with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:  # type: ignore[arg-type]
                assert b"CANARY" not in b"".join(bytes(block) for block in copy), table
    for bucket in (bench.settings.derived_bucket, bench.settings.bucket):
        for found in bench.keys(bucket):
            assert b"CANARY" not in bench.client.get_object(Bucket=bucket, Key=found)["Body"].read()
    assert "CANARY" not in caplog.text
    assert "CANARY" not in gateway.get("/metrics").text
    assert "CANARY" not in repr(reading.engine.requests)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"indication": "cough\x1b[2J"}, "U+001B"),
        ({"technique": "\u202eAP"}, "U+202E"),
        ({"comparison": "x" * 1001}, "1000"),
    ],
)
def test_words_that_are_too_long_or_act_are_refused_with_a_sentence(
    gateway: TestClient, uri: str, said: dict[str, str], sentence: str
) -> None:
    answer = send(gateway, uri, **said)
    assert answer.status_code == 422
    assert sentence in answer.text


def test_words_for_more_films_than_a_study_has_are_refused(gateway: TestClient, uri: str) -> None:
    answer = send(gateway, *[uri] * 17, **SAID)
    assert answer.status_code == 422
    assert "about one study" in answer.text


def test_where_it_is_not_switched_on_a_request_with_words_is_refused(bench: Bench, uri: str) -> None:
    client = TestClient(made(bench, None), headers=key(bench))
    answer = send(client, uri, **SAID)
    assert answer.status_code == 422
    assert "XRAYGPT_CLINICAL_TEXT" in answer.json()["detail"]
    assert "CANARY" not in answer.text
    assert bench.value("SELECT count(*) FROM images") == 0
    assert send(client, uri, indication=" ").status_code == 202


def test_other_words_for_a_study_that_has_a_draft_make_a_newer_draft(
    reading: Desk, gateway: TestClient, ingest: Callable[[], None], uri: str
) -> None:
    study = submit(gateway, uri)
    ingest()
    reading.do(JobKind.SUMMARISE)
    assert submit(gateway, uri, **SAID) == study
    ingest()
    reading.do(JobKind.SUMMARISE)
    assert [one.indication for one in shown(reading)] == ["of the header", "CANARYREASON of cough"]
    assert submit(gateway, uri, **SAID) == submit(gateway, uri) == study
    ingest()
    reading.do(JobKind.SUMMARISE)
    texts = reading.bench.rows(
        "SELECT provenance ->> 'request_sha256' IS NOT NULL AS shown, superseded_at IS NULL AS current FROM summaries "
        "ORDER BY summarised_at"
    )
    assert texts == [{"shown": False, "current": False}, {"shown": True, "current": True}]


def test_words_that_come_while_the_draft_is_written_are_in_the_next_one(
    reading: Desk, gateway: TestClient, ingest: Callable[[], None], uri: str
) -> None:
    submit(gateway, uri, lane="stat")
    ingest()
    answer = reading.engine.answer

    def meanwhile(request: Any, hooks: Any) -> Any:
        if len(reading.engine.requests) == 1:
            submit(gateway, uri, **SAID)
            ingest()
        return answer(request, hooks)

    reading.engine.answer = meanwhile
    reading.do(JobKind.SUMMARISE)
    reading.do(JobKind.SUMMARISE)
    assert [one.comparison for one in shown(reading)] == [None, "CANARYCOMPARED"]
    current = "SELECT provenance ? 'request_sha256' FROM summaries WHERE superseded_at IS NULL"
    assert reading.bench.value(current) is True


def test_a_model_that_reads_no_words_writes_nothing_anew_for_them(
    reading: Desk, gateway: TestClient, ingest: Callable[[], None], uri: str
) -> None:
    note_images(reading.bench.ledger, "demo", [ImageRole.FRONTAL], clinical=False)
    submit(gateway, uri)
    ingest()
    reading.do(JobKind.SUMMARISE)
    submit(gateway, uri, **SAID)
    ingest()
    assert reading.bench.queued(JobKind.SUMMARISE) == []
    assert reading.bench.value("SELECT state FROM studies WHERE alias_of IS NULL") == "summarised"
    assert reading.bench.value("SELECT count(*) FROM request_words") == 1


def test_a_purge_removes_the_words_and_no_later_request_brings_them_back(
    bench: Bench, gateway: TestClient, ingest: Callable[[], None], uri: str
) -> None:
    study = submit(gateway, uri, **SAID)
    ingest()
    purge_study(bench.ledger, study, bench.store.delete)
    assert bench.value("SELECT count(*) FROM request_words") == 0
    assert send(gateway, uri, **SAID).status_code == 202
    assert bench.value("SELECT count(*) FROM request_words") == 0


@pytest.mark.parametrize(("role", "may"), [("gpu", True), ("ingest", False), ("control", False), ("training", False)])
def test_of_the_workers_only_that_of_the_gpu_may_read_a_box(bench: Bench, role: str, may: bool) -> None:
    asked = "SELECT has_column_privilege(:role, 'request_words', 'box', 'SELECT')"
    assert bench.value(asked, role=f"xraygpt_{role}") is may


def test_the_audit_says_that_words_came_and_not_which(bench: Bench, gateway: TestClient, uri: str) -> None:
    submit(gateway, uri, **SAID)
    submit(gateway, uri)
    details = bench.rows("SELECT detail -> 'words' AS words FROM audit WHERE what = 'images submitted' ORDER BY id")
    assert [one["words"] for one in details] == [True, None]


def test_words_that_come_with_the_same_film_under_another_key_reach_the_draft(
    reading: Desk, gateway: TestClient, ingest: Callable[[], None], film: Film, uri: str
) -> None:
    submit(gateway, uri)
    ingest()
    reading.do(JobKind.SUMMARISE)
    submit(gateway, put(reading.bench, film(1, **HEADER) + b"\0\0", "again"), **SAID)
    ingest()
    reading.do(JobKind.SUMMARISE)
    assert reading.bench.value("SELECT count(*) FROM images WHERE duplicate_of IS NOT NULL") == 1
    assert [one.comparison for one in shown(reading)] == [None, "CANARYCOMPARED"]
