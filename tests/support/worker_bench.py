"""What the worker tests hold: a bucket to put films into, processes to start, and waiting without guessing."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from tests.support import database_roles
from workers.context import Context
from workers.executor import Body, run_claim
from xraygpt_core.dicom.write import phantom_dicom
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.register import ObjectRef, Registered, register_objects
from xraygpt_core.ledger.studies.settle import settle_many
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.queue import queue_of, queues_of
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane
from xraygpt_core.storage import ObjectStore

T = TypeVar("T")


def claim_some(ledger: Ledger, kind: JobKind, limit: int, worker: str = "test") -> list[Claim]:
    """The most urgent jobs of a kind, claimed as a worker does, after a tick of control."""
    tick(ledger)
    return claim_next(ledger, [queue_of(name) for name in queues_of(kind)], worker, limit=limit)


def run_one(context: Context, kind: JobKind, body: Body) -> bool:
    """Claim the most urgent job of a kind and do it; False if there is none."""
    claims = claim_some(context.ledger, kind, 1, context.name)
    for claim in claims:
        run_claim(context, claim, body)
    return bool(claims)


def eventually(look: Callable[[], T | None], what: str, seconds: float = 240.0) -> T:
    """The first true value of ``look``; fails the test, saying what did not happen, after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.05)
    pytest.fail(f"not within {seconds:g} seconds: {what}")


def make_film(seed: int = 0, *, study: str | None = None, view: str = "PA", **header: Any) -> bytes:
    """A small DICOM radiograph of shades by chance; every seed is another patient, study and image."""
    coarse = np.random.default_rng(seed).uniform(0, 4000, (8, 8)).astype(np.float32)
    pixels = np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BILINEAR)).astype(np.uint16)
    uid = f"1.2.826.0.1.{seed}"
    return phantom_dicom(
        pixels,
        view=view,
        patient_id=f"PHANTOM{seed}",
        study_uid=study or uid,
        sop_uid=f"{uid}.1",
        accession=f"A{seed}",
        **header,
    )


@dataclass
class Bench:
    """A hospital's bucket, the ledger, and what a worker holds."""

    settings: Settings
    ledger: Ledger
    store: ObjectStore
    client: Any
    context: Context
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    directory: Path = Path()

    def upload(self, key: str, data: bytes) -> ObjectRef:
        etag = self.client.put_object(Bucket=self.settings.bucket, Key=key, Body=data)["ETag"].strip('"')
        return ObjectRef(self.settings.bucket, key, etag)

    def register(self, key: str, data: bytes, lane: Lane = Lane.ROUTINE) -> Registered:
        return register_objects(self.ledger, [self.upload(key, data)], lane, actor="test")[0]

    def settled(self, number: int, lane: Lane = Lane.ROUTINE, png: bytes = b"") -> UUID:
        """A study that waits for its summary, brought there by the ledger alone; its image is any bytes."""
        png = png or b"normalised image %d" % number
        sha256 = hashlib.sha256(png).hexdigest()
        registered = self.register(f"incoming/{number}", png, lane)
        key = f"normalised/{sha256[:2]}/{sha256}.png"
        self.store.put(key, png, "image/png")
        image = IngestedImage(
            *(None, None, None, None),
            view="PA",
            modality="DX",
            kind="picture",
            rows=256,
            columns=256,
            pixel_sha256=sha256,
            normalised_key=key,
            normalised_sha256=sha256,
            preview_key=key,
            preview_sha256=sha256,
            expected_images=None,
            flags=(),
        )
        complete_ingests(self.ledger, [(self.claimed(JobKind.INGEST), image)])
        settle_many(self.ledger, [self.claimed(JobKind.SETTLE)])
        return registered.study_id

    def one_patient(self, study: UUID, before: UUID) -> None:
        """Make these the studies of one patient, the second one taken on the day before."""
        for number, study_id in enumerate([study, before]):
            values = {"id": study_id, "day": f"2021-03-0{2 - number}"}
            self.rows("UPDATE studies SET patient_pseudonym = 'patient' WHERE id = :id RETURNING id", id=study_id)
            self.rows("UPDATE images SET acquired_on = :day WHERE study_id = :id RETURNING id", **values)

    def claimed(self, kind: JobKind) -> Claim:
        """The most urgent job of a kind, claimed."""
        return claim_some(self.ledger, kind, 1)[0]

    def queued(self, kind: JobKind) -> list[UUID]:
        rows = self.rows("SELECT id FROM jobs WHERE kind = :kind AND state = 'queued' ORDER BY id", kind=kind)
        return [row["id"] for row in rows]

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        with self.ledger.work() as work:
            return [dict(row) for row in work.rows(sql, values)]

    def value(self, sql: str, **values: Any) -> Any:
        rows = self.rows(sql, **values)
        return next(iter(rows[0].values())) if rows else None

    def keys(self, bucket: str) -> list[str]:
        return [listed.key for listed in self.store.list(bucket)]

    def start(self, role: str, **environment: str) -> subprocess.Popen[bytes]:
        """A real worker process with its role's rights. Its log is ``<directory>/<role>-<n>.log``."""
        url = database_roles.url_as(role, _text(self.settings.database_url))
        return self.run("-m", "workers", role, name=role, **{"XRAYGPT_DATABASE_URL": url, **environment})

    @property
    def environment(self) -> dict[str, str]:
        """The settings as variables, with the database's owner."""
        return {f"XRAYGPT_{name.upper()}": _text(value) for name, value in self.settings if value is not None}

    def run(self, *command: str, name: str, **environment: str) -> subprocess.Popen[bytes]:
        """A Python command with these settings, as the owner of the database. Its log is like a worker's."""
        log = self.directory / f"{name}-{len(self.processes)}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, *command], env={**os.environ, **self.environment, **environment}, stderr=stderr
            )
        self.processes.append(process)
        return process

    def lose(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a worker, and end the leases it held: a lease so short that a test could wait for its end would also
        end under a worker that lives, whenever the machine stands still for as long.
        """
        process.kill()
        process.wait()
        with self.ledger.work() as work:
            work.run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'running'")

    def log(self, number: int = -1) -> str:
        logs = sorted(self.directory.glob("*.log"), key=lambda path: int(path.stem.rpartition("-")[2]))
        return logs[number].read_text()

    def eventually(self, look: Callable[[], Any], what: str, seconds: float = 240.0) -> Any:
        return eventually(look, what, seconds)

    def until(self, sql: str, expected: Any, what: str, seconds: float = 240.0, **values: Any) -> None:
        """Wait until a query gives this value, ticking like the control worker meanwhile."""

        def look() -> bool:
            tick(self.ledger)
            return bool(self.value(sql, **values) == expected)

        try:
            eventually(look, what, seconds)
        except pytest.fail.Exception as error:
            seen = self.rows("SELECT kind, state, attempts, last_error FROM jobs ORDER BY id")
            logs = "\n".join(path.read_text()[-3000:] for path in self.directory.glob("*.log"))
            pytest.fail(f"{error}\n{seen}\n{logs}")


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
