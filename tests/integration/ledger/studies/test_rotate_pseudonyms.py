"""One pseudonymisation key takes the place of another: the same patient is found before, meanwhile and after."""

import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.database_roles import url_as
from tests.support.ledger_tools import do
from tests.support.worker_bench import Bench, make_film
from workers.ingest import Ingest
from workers.rotate import Rotate, RotationReport
from xraygpt_core.db import libpq_url
from xraygpt_core.dicom.sandbox import Sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.preflight import check_fingerprint
from xraygpt_core.ledger.studies import rotate_pseudonyms as ledger_rotate
from xraygpt_core.ledger.studies.read import lookup
from xraygpt_core.privacy import Pseudonymiser

OLD = Pseudonymiser(hashlib.sha256(b"old").digest())
NEW = Pseudonymiser(hashlib.sha256(b"new").digest(), OLD)


LIMITS = Limits(64 * 10**6, 30.0, 2 * 2**30)


def _shared(_: Limits) -> Sandbox:
    """One decoder for all films here: its start costs more than all of them."""
    return _sandboxes[0]


_sandboxes: list[Sandbox] = []


@pytest.fixture(scope="module", autouse=True)
def _decoders() -> Iterator[None]:
    """One that decodes, and one that reads headers."""
    with Sandbox(LIMITS) as whole, header_sandbox(LIMITS) as headers:
        _sandboxes[:] = [whole, headers]
        yield


@pytest.fixture
def known(bench: Bench) -> Bench:
    """A database filled under the old key."""
    check_fingerprint(bench.ledger, OLD.fingerprint)
    return bench


def ingest(bench: Bench, pseudonymiser: Pseudonymiser, key: str, film: bytes) -> UUID:
    """A film on the way an ingest worker takes it; its study."""
    registered = bench.register(key, film)
    work = Ingest(bench.context, pseudonymiser, _shared)
    claim = bench.claimed("ingest")  # type: ignore[arg-type]
    with bench.context.heartbeat.keep_alive(claim, 60, 60) as progress:
        image = work.do(claim, progress, work.prepare([claim])[claim.subject])
    assert image is not None
    work.finish([(claim, image)])
    study: UUID = bench.value("SELECT study_id FROM images WHERE id = :id", id=registered.image_id)
    return study


def begin(bench: Bench) -> None:
    ledger_rotate.begin(bench.ledger, OLD.fingerprint, NEW.fingerprint)


def rotating(bench: Bench) -> Rotate:
    return Rotate(bench.ledger, bench.store, NEW, _sandboxes[1])


def rotated(bench: Bench, *, give_up: bool = False) -> RotationReport:
    return rotating(bench).run(give_up=give_up)


def found(bench: Bench, number: int) -> set[UUID]:
    """What the gateway finds by this patient's number, under both keys."""
    return {
        study for one in NEW.all for study in lookup(bench.ledger, "patient", one.patient(f"PHANTOM{number}") or "")
    }


def columns(bench: Bench) -> set[Any]:
    """Every pseudonym that any row bears."""
    rows = bench.rows(
        "SELECT uid_pseudonym, patient_pseudonym, patient_id_pseudonym, accession_pseudonym FROM studies "
        "UNION ALL SELECT unnest(other_pseudonyms), NULL, NULL, NULL FROM studies "
        "UNION ALL SELECT sop_pseudonym, patient_pseudonym, patient_id_pseudonym, accession_pseudonym FROM images"
    )
    return {value for row in rows for value in row.values()} - {None}


def names(pseudonymiser: Pseudonymiser, number: int) -> set[Any]:
    uid = f"1.2.826.0.1.{number}"
    return {
        pseudonymiser.study(uid),
        pseudonymiser.sop(f"{uid}.1"),
        pseudonymiser.patient(f"PHANTOM{number}"),
        pseudonymiser.accession(f"A{number}"),
    }


def test_the_same_patient_is_found_before_meanwhile_and_after(known: Bench) -> None:
    first = ingest(known, OLD, "in/1", make_film(1))
    other = ingest(known, OLD, "in/2", make_film(2))
    assert (found(known, 1), found(known, 2)) == ({first}, {other})
    begin(known)
    assert (found(known, 1), found(known, 2)) == ({first}, {other})
    later = make_film(3, study="1.2.826.0.1.1", view="LL")  # another film of the first one's study
    joined = ingest(known, NEW, "in/3", later)
    assert joined != first  # another patient under its StudyInstanceUID
    same = ingest(known, NEW, "in/4", make_film(1, view="AP"))
    assert same == first
    assert (found(known, 1), found(known, 2)) == ({first}, {other})
    report = rotated(known)
    assert (report.read, report.left, report.over) == (4, {}, True)
    assert columns(known) == names(NEW, 1) | names(NEW, 2) | names(NEW, 3) - {NEW.study("1.2.826.0.1.3")}
    assert ledger_rotate.rotation(known.ledger) is None
    assert lookup(known.ledger, "patient", NEW.patient("PHANTOM2") or "") == [other]
    check_fingerprint(known.ledger, NEW.fingerprint)


def test_the_pictures_of_a_film_stay_where_they_are(known: Bench) -> None:
    ingest(known, OLD, "in/1", make_film(1))
    deep = "deep_key = 'deep/1', deep_sha256 = '1', deep_scale = ARRAY[0, 1], deep_window = ARRAY[5, 10]"
    do(known.ledger, f"UPDATE images SET {deep}")
    pictures = "SELECT normalised_key, preview_key, deep_key, deep_sha256, deep_scale, deep_window FROM images"
    before = known.rows(pictures)
    begin(known)
    assert rotated(known).over
    assert known.rows(pictures) == before


def test_an_interrupted_rotation_goes_on_where_it_was(known: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = [ingest(known, OLD, f"in/{number}", make_film(number)) for number in range(1, 6)]
    begin(known)
    monkeypatch.setattr(ledger_rotate, "PAGE", 2)
    rotate = rotating(known)
    whole, taken = rotate._rename, 0

    def interrupted(given: Any) -> str | None:
        nonlocal taken
        taken += 1
        if taken == 4:
            raise KeyboardInterrupt
        return whole(given)

    monkeypatch.setattr(rotate, "_rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rotate.run(give_up=False)
    assert [found(known, number) for number in range(1, 6)] == [{study} for study in studies]
    assert rotated(known).read == 3  # the page it was in, and what comes after
    assert columns(known) == set().union(*(names(NEW, number) for number in range(1, 6)))


def test_a_film_that_is_gone_keeps_the_old_key_in_use_until_somebody_gives_it_up(known: Bench) -> None:
    study = ingest(known, OLD, "in/1", make_film(1))
    ingest(known, OLD, "in/2", make_film(2))
    known.client.delete_object(Bucket=known.settings.bucket, Key="in/1")
    begin(known)
    report = rotated(known)
    assert (list(report.left.values()), report.over) == (["no longer in the bucket"], False)
    assert found(known, 1) == {study}
    with pytest.raises(ConfigurationError, match="XRAYGPT_HMAC_OLD_KEY_FILE"):
        check_fingerprint(known.ledger, NEW.fingerprint)
    check_fingerprint(known.ledger, NEW.fingerprint, OLD.fingerprint)
    assert rotated(known, give_up=True).over
    check_fingerprint(known.ledger, NEW.fingerprint)


def test_a_rotation_stands_in_the_audit(known: Bench) -> None:
    acting = known.ledger.acting(Actor("rotation"))
    ledger_rotate.begin(acting, OLD.fingerprint, NEW.fingerprint)
    assert ledger_rotate.end(acting, give_up=True)
    with known.ledger.work() as work:
        kept = [(row["what"], row["actor"], row["detail"]) for row in work.rows("SELECT * FROM audit ORDER BY id")]
    assert kept == [
        ("pseudonymisation key replaced", "rotation", None),
        ("former pseudonymisation key ended", "rotation", {"left": 0}),
    ]


def test_a_rotation_does_not_begin_under_a_worker_that_knows_the_old_key_alone(known: Bench, database_url: str) -> None:
    refused = pytest.raises(ConfigurationError, match="stop every gateway and ingest worker first")
    with psycopg.connect(libpq_url(url_as("ingest", database_url))), refused:
        begin(known)
    check_fingerprint(known.ledger, OLD.fingerprint)


def test_a_rotation_from_a_key_that_is_not_this_database_s_is_refused(known: Bench) -> None:
    stranger = Pseudonymiser(hashlib.sha256(b"stranger").digest())
    with pytest.raises(ConfigurationError, match="not the one this database was filled with"):
        ledger_rotate.begin(known.ledger, stranger.fingerprint, NEW.fingerprint)
