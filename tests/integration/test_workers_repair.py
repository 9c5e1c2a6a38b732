"""``python -m workers.repair`` on real films, as older versions left them: joined by their StudyInstanceUID alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.worker_bench import Bench, make_film
from workers.drain import Drain
from workers.ingest import Ingest
from workers.settle import Settle
from xraygpt_core.ledger.read import lookup
from xraygpt_core.ledger.register import Registered
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind

# What a version knew that asked for the StudyInstanceUID alone.
JOIN = """
    WITH home AS (SELECT min(id::text)::uuid AS id FROM studies), moved AS (
        UPDATE images SET study_id = home.id, names_read = false, patient_pseudonym = NULL, accession_pseudonym = NULL,
               flags = '{}' FROM home
    ), never AS (
        DELETE FROM jobs USING home WHERE kind IN ('settle', 'summarise') AND subject <> home.id
    )
    UPDATE studies SET alias_of = home.id, uid_pseudonym = NULL, patient_pseudonym = NULL, accession_pseudonym = NULL,
           revision = 0, state = 'received', flags = '{}', chosen_image = NULL
    FROM home WHERE studies.id <> home.id
"""


@pytest.fixture
def ingest(bench: Bench) -> Iterator[Callable[[], None]]:
    """Does every open ingest and settle job in this process, as a worker would."""
    work = Ingest(bench.context, load_pseudonymiser(bench.settings))
    bodies = {JobKind.INGEST: work, JobKind.SETTLE: Settle(bench.context)}
    yield Drain(bench.context, queues_of(JobKind.SETTLE, JobKind.INGEST), bodies)
    work.close()


def repaired(bench: Bench, *options: str) -> dict[str, Any]:
    environment = {**os.environ, **bench.environment()}
    command = [sys.executable, "-m", "workers.repair", "--json", *options]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_studies_of_two_patients_are_shown_and_then_taken_apart(bench: Bench, ingest: Callable[[], None]) -> None:
    def sent(number: int) -> Registered:
        return bench.register(f"incoming/{number}.dcm", make_film(number, study="1.2.3"))

    first, second, third = sent(1), sent(2), sent(3)
    ingest()
    with bench.ledger.work() as work:
        work.run(JOIN)
    bench.client.delete_object(Bucket=bench.settings.bucket, Key="incoming/3.dcm")

    (shown,) = repaired(bench)["found"]
    assert shown["study_id"] == str(first.study_id)
    assert shown["leave"] == [{"study_id": None, "images": [str(second.image_id)]}]
    assert shown["unread"] == {str(third.image_id): "no longer in the bucket"}
    assert bench.value("SELECT count(DISTINCT study_id) FROM images") == 1

    done = repaired(bench, "--apply")
    assert (done["applied"], done["studies"], done["images"], done["found"]) == (True, 1, 2, [shown])
    ingest()
    names = load_pseudonymiser(bench.settings)
    for number, registered in ((1, first), (2, second)):
        assert lookup(bench.ledger, "patient", names.patient(f"PHANTOM{number}") or "") == [registered.study_id]
        assert lookup(bench.ledger, "accession", names.accession(f"A{number}") or "") == [registered.study_id]
    assert bench.value("SELECT count(*) FROM studies WHERE state = 'queued'") == 2
