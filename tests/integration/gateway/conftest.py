"""A gateway on real PostgreSQL, Valkey and S3, and a hand that does what workers do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql
from pydantic import SecretStr

from api_gateway.app import create_app
from tests.support.api_keys import create_api_key
from tests.support.keys import HMAC_KEY
from tests.support.ledger_tools import claim
from tests.support.s3_tools import s3_client
from tests.support.study_steps import complete_ingest, settle
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.servers.s3 import ObjectServer
from xraygpt_core.ledger.jobs.claims import Claim, fail
from xraygpt_core.ledger.studies.chat import chat_input, complete_turn, stream_answer
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, KeyKind, ReasonCode, Role
from xraygpt_core.storage import ObjectStore

WEBHOOK_TOKEN = "webhook-token"
KEY = bytes.fromhex(HMAC_KEY)


@dataclass
class World:
    """What a test holds in its hands. ``client`` sends a valid key; ``stranger`` sends none."""

    client: TestClient
    stranger: TestClient
    ledger: Ledger
    store: ObjectStore
    s3: Any
    pseudonymiser: Pseudonymiser

    @property
    def settings(self) -> Settings:
        return self.ledger.settings

    def as_role(self, *roles: Role, kind: KeyKind = KeyKind.PERSON, **more: Any) -> TestClient:
        """A client whose new key holds these roles."""
        name = f"{' '.join(roles)} {uuid4().hex[:8]}"
        key = create_api_key(self.ledger, name, kind, roles, **more)
        return TestClient(self.client.app, headers={"X-API-Key": key}, raise_server_exceptions=False)

    def put(self, key: str, data: bytes = b"film") -> str:
        """An object of the source bucket; its address."""
        self.s3.put_object(Bucket=self.settings.bucket, Key=key, Body=data)
        return f"s3://{self.settings.bucket}/{key}"

    def submit(self, *keys: str, **more: Any) -> list[dict[str, str]]:
        """Put objects and hand them in."""
        objects = [{"uri": self.put(key, f"film {key}".encode())} for key in keys]
        answer = self.client.post("/v1/studies", json={"objects": objects, **more})
        assert answer.status_code == 202, answer.text
        images: list[dict[str, str]] = answer.json()["images"]
        return images

    def claim(self, kind: JobKind, subject: str) -> Claim:
        """Take the open job of a subject, as a worker would."""
        with self.ledger.work() as work:
            row = work.row(
                "SELECT id FROM jobs WHERE kind = :kind AND subject = :subject AND state = 'queued'",
                {"kind": kind, "subject": UUID(subject)},
            )
        assert row is not None, f"no open {kind} job"
        taken = claim(self.ledger, row["id"], kind)
        assert taken is not None
        return taken

    def ingest(self, image_id: str, **more: Any) -> str:
        """Accept an image; the study it belongs to then."""
        values: dict[str, Any] = {
            "study_pseudonym": self.pseudonymiser.study(f"1.2.3.{image_id}"),
            "patient_pseudonym": None,
            "accession_pseudonym": None,
            "sop_pseudonym": None,
            "view": "PA",
            "modality": "DX",
            "kind": "dicom",
            "rows": 300,
            "columns": 200,
            "pixel_sha256": uuid4().hex,
            "normalised_key": f"normalised/{image_id}.png",
            "normalised_sha256": uuid4().hex,
            "preview_key": f"preview/{image_id}.png",
            "preview_sha256": uuid4().hex,
            "expected_images": 1,
            "flags": (),
        }
        complete_ingest(self.ledger, self.claim(JobKind.INGEST, image_id), IngestedImage(**(values | more)))
        with self.ledger.work() as work:
            row = work.row("SELECT study_id FROM images WHERE id = :id", {"id": UUID(image_id)})
        assert row is not None
        return str(row["study_id"])

    def reject(self, image_id: str, reason: ReasonCode = ReasonCode.BLANK) -> None:
        reject_image(self.ledger, self.claim(JobKind.INGEST, image_id), reason, "every pixel is 0")

    def kill(self, kind: JobKind, subject: str, error: str = "the codec crashed") -> str:
        """Let a job die; its id."""
        taken = self.claim(kind, subject)
        fail(self.ledger, taken, error, retry=False)
        return str(taken.job_id)

    def summarise(self, study_id: str, text: str = "No acute disease.", **more: Any) -> str:
        """Settle and summarise a study; the summary's id."""
        settle(self.ledger, self.claim(JobKind.SETTLE, study_id))
        return self._write_summary(study_id, text, **more)

    def summarise_again(self, study_id: str, text: str, **more: Any) -> str:
        """Supersede a study's summary by that of another bundle; the new one's id."""
        with self.ledger.work() as work:
            work.run("UPDATE installation SET served_bundle = 'next'")
        assert self.client.post("/v1/resummarise", json={"study_ids": [study_id]}).json() == {"queued": 1}
        return self._write_summary(study_id, text, **more)

    def _write_summary(self, study_id: str, text: str, **more: Any) -> str:
        taken = self.claim(JobKind.SUMMARISE, study_id)
        given = summarise_input(self.ledger, taken)
        assert given is not None
        summary = NewSummary(text, "Clear lungs.", text, "demo", "ab" * 32, {"template": "xraygpt"}, 5, 1)
        return str(complete_summary(self.ledger, taken, given, replace(summary, **more)))

    def summarised(self, key: str = "in/a.dcm", **more: Any) -> tuple[str, str]:
        """A study from object to summary: study id, summary id."""
        (image,) = self.submit(key)
        study_id = self.ingest(image["image_id"], **more)
        return study_id, self.summarise(study_id)

    def write(self, turn_id: str, **more: Any) -> tuple[Callable[[str], None], Callable[[str], None]]:
        """Take a chat turn; functions that show text so far and that finish it."""
        taken = self.claim(JobKind.CHAT, turn_id)
        chat_input(self.ledger, taken)
        return (
            lambda text: stream_answer(self.ledger, taken, text),
            lambda text: complete_turn(self.ledger, taken, text, "demo", "ab" * 32, **({"provenance": {}} | more)),
        )


@dataclass(frozen=True)
class Storage:
    """Two buckets that all tests of a process use, one after the other: a client costs more than a test."""

    settings: dict[str, Any]
    s3: Any

    def empty(self) -> None:
        for bucket in (self.settings["bucket"], self.settings["derived_bucket"]):
            for found in self.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                self.s3.delete_object(Bucket=bucket, Key=found["Key"])


def _storage(object_server: ObjectServer) -> Storage:
    names = uuid4().hex[:10]
    settings = {
        "s3_endpoint_url": object_server.url,
        "s3_access_key": SecretStr(object_server.access_key),
        "s3_secret_key": SecretStr(object_server.secret_key),
        "bucket": f"source-{names}",
        "derived_bucket": f"derived-{names}",
    }
    s3 = s3_client(object_server.url, object_server.access_key, object_server.secret_key)
    for bucket in (settings["bucket"], settings["derived_bucket"]):
        s3.create_bucket(Bucket=bucket)
    return Storage(settings, s3)


@contextmanager
def _world(
    database_url: str, redis_url: str, storage: Storage, store: ObjectStore | None = None, **more: Any
) -> Iterator[World]:
    settings = Settings(
        database_url=SecretStr(database_url),
        reader_url=SecretStr(database_url.replace(database_url.split("@")[0], "postgresql://xraygpt_reader:reader")),
        redis_url=SecretStr(redis_url),
        hmac_key=SecretStr(KEY.hex()),
        webhook_token=SecretStr(WEBHOOK_TOKEN),
        max_object_bytes=100_000,
        settle_seconds=0.0,
        retry_seconds=0.0,
        **(storage.settings | more),
    )
    ledger = open_ledger(settings)
    store, pseudonymiser = store or ObjectStore(settings), Pseudonymiser(KEY)
    app = create_app(ledger, store, pseudonymiser)
    headers = {"Authorization": f"Bearer {create_api_key(ledger, 'tests', KeyKind.BOTH)}"}
    with (
        TestClient(app, headers=headers, raise_server_exceptions=False) as client,
        TestClient(app, raise_server_exceptions=False) as stranger,
    ):
        yield World(client, stranger, ledger, store, storage.s3, pseudonymiser)
    ledger.close()


@pytest.fixture
def analysts(postgres: Postgres) -> None:
    """The analysts' role may log in. Roles belong to the whole server, so another test may just have locked it out."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE xraygpt_reader LOGIN PASSWORD 'reader'"))


@pytest.fixture(scope="session")
def shared(postgres: Postgres, broker: Broker, object_server: ObjectServer) -> Iterator[World]:
    """One gateway for all tests that neither leave anything behind nor mind what others left."""
    name = f"shared_{uuid4().hex[:12]}"
    with psycopg.connect(postgres.url.rsplit("/", 1)[0] + "/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE xraygpt").format(sql.Identifier(name)))
    with _world(postgres.url.rsplit("/", 1)[0] + "/" + name, broker.url, _storage(object_server)) as world:
        yield world


@pytest.fixture
def more_settings() -> dict[str, Any]:
    """What a test sets beside the usual, by parametrising this."""
    return {}


@pytest.fixture
def world(database_url: str, redis_url: str, shared: World, more_settings: dict[str, Any]) -> Iterator[World]:
    """A gateway on a fresh database, an empty broker and empty buckets."""
    names = ("s3_endpoint_url", "s3_access_key", "s3_secret_key", "bucket", "derived_bucket")
    storage = Storage({name: getattr(shared.settings, name) for name in names}, shared.s3)
    storage.empty()
    with _world(database_url, redis_url, storage, shared.store, **more_settings) as world:
        yield world
