"""What a header leaves: a rejected film is found by its number, and numbers are kept sealed where that is wanted."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.worker_bench import Bench, make_film
from workers.consumer import Consumer
from workers.ingest import Ingest
from workers.reseal import reseal
from workers.rotate import Rotate
from workers.settle import Settle
from xraygpt_core.dicom.sandbox import Sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.preflight import check_fingerprint, check_sealing_key
from xraygpt_core.ledger.studies import rotate_pseudonyms as ledger_rotate
from xraygpt_core.ledger.studies.header_names import numbers_of_study
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.read import lookup, rejections, study
from xraygpt_core.ledger.studies.seal_anew import seal_anew
from xraygpt_core.models import metadata
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.sealing import Numbers, SealedNumbers, Sealer
from xraygpt_core.states import JobKind, ReasonCode

OLD, NEW = (hashlib.sha256(word).digest() for word in (b"old", b"new"))
NAMES = Pseudonymiser(hashlib.sha256(b"names").digest())
SEALER = Sealer(OLD)
LIMITS = Limits(64 * 10**6, 30.0, 2 * 2**30)
DOES = Callable[..., None]


@pytest.fixture(scope="module")
def decoders() -> Iterator[tuple[Sandbox, Sandbox]]:
    """One that decodes, and one that reads headers: their starts cost more than all films here."""
    with Sandbox(LIMITS) as whole, header_sandbox(LIMITS) as headers:
        whole.normalise(make_film())  # their children start here, and not within the lease of a job
        headers.identify(make_film())
        yield whole, headers


@pytest.fixture
def ingest(bench: Bench, decoders: tuple[Sandbox, Sandbox], monkeypatch: pytest.MonkeyPatch) -> DOES:
    """Does every open ingest and settle job."""
    monkeypatch.setattr("workers.ingest.header_sandbox_of", lambda _: decoders[1])

    def do(names: Pseudonymiser = NAMES, sealer: Sealer | None = None) -> None:
        work = Ingest(bench.context, names, lambda _: decoders[0], sealer)
        bodies = {JobKind.INGEST: work, JobKind.SETTLE: Settle(bench.context)}
        Consumer(bench.context, queues_of(JobKind.SETTLE, JobKind.INGEST), bodies)()

    return do


def found(bench: Bench, number: int, names: Pseudonymiser = NAMES) -> list[list[UUID]]:
    """By accession number, patient and study."""
    uid, patient, accession = f"1.2.826.0.1.{number}", f"PHANTOM{number}", f"A{number}"
    return [
        lookup(bench.ledger, "accession", names.accession(accession) or ""),
        lookup(bench.ledger, "patient", names.patient(patient) or ""),
        lookup(bench.ledger, "study", names.study(uid) or ""),
    ]


def rejected(bench: Bench, number: int, **header: Any) -> UUID:
    header = header or {"BodyPartExamined": "KNEE"}
    return bench.register(f"in/{number}.dcm", make_film(number, **header)).study_id


def test_a_rejected_film_is_found_by_every_number_of_its_header(bench: Bench, ingest: DOES) -> None:
    home = rejected(bench, 1)
    ingest()
    assert found(bench, 1) == [[home]] * 3
    now = study(bench.ledger, home)
    assert (now.state, now.reason_code, now.summary) == ("rejected", ReasonCode.WRONG_BODY_PART, None)
    (row,) = bench.rows("SELECT uid_pseudonym, patient_pseudonym, accession_pseudonym FROM studies")
    assert set(row.values()) == {None}


def test_a_film_that_is_cut_off_is_found_if_its_header_is_whole(bench: Bench, ingest: DOES) -> None:
    home = bench.register("in/pixels.dcm", make_film(2)[:-100_000]).study_id
    bench.register("in/cut.dcm", make_film(3)[:300])
    bench.register("in/letter.txt", b"Dear colleague")
    ingest()
    assert bench.value("SELECT count(*) FROM images WHERE state = 'rejected'") == 3
    assert found(bench, 2) == [[home]] * 3
    assert found(bench, 3) == [[]] * 3


def test_a_study_with_a_draft_comes_before_a_rejected_film_of_its_number(bench: Bench, ingest: DOES) -> None:
    first = bench.register("in/film.dcm", make_film(4)).study_id
    turned_away = rejected(bench, 4)
    ingest()
    assert found(bench, 4)[0] == [first, turned_away]
    assert rejections(bench.ledger, [first, turned_away]) == {turned_away: ReasonCode.WRONG_BODY_PART}


def test_a_rejected_content_leads_to_no_study_of_another_patients_film(bench: Bench, ingest: DOES) -> None:
    """An object held one patient's film, and then another patient's, which was turned away."""
    bench.register("in/5.dcm", make_film(6))
    ingest()
    rejected(bench, 5)
    ingest()
    assert bench.value("SELECT count(*) FROM rejected_names") == 3
    assert found(bench, 5) == [[]] * 3
    assert len(found(bench, 6)[0]) == 1


def test_a_film_in_the_place_of_a_rejected_one_ends_its_names(bench: Bench, ingest: DOES) -> None:
    home = rejected(bench, 7)
    ingest()
    bench.register("in/7.dcm", make_film(8))
    ingest()
    assert found(bench, 7) == [[]] * 3
    assert found(bench, 8) == [[home]] * 3


def test_a_purge_forgets_names_and_numbers(bench: Bench, ingest: DOES) -> None:
    home, other = rejected(bench, 9), bench.register("in/other.dcm", make_film(10)).study_id
    ingest(sealer=SEALER)
    assert bench.value("SELECT count(*) FROM sealed_numbers") == 2
    for study_id in (home, other):
        purge_study(bench.ledger, study_id, bench.store.delete)
    assert found(bench, 9) == [[]] * 3
    assert bench.value("SELECT (SELECT count(*) FROM rejected_names) + (SELECT count(*) FROM sealed_numbers)") == 0


def test_rejected_films_get_new_pseudonyms_with_all_others_and_the_seals_stay(
    bench: Bench, ingest: DOES, decoders: tuple[Sandbox, Sandbox]
) -> None:
    check_fingerprint(bench.ledger, NAMES.fingerprint)
    home = rejected(bench, 11)
    bench.register("in/good.dcm", make_film(12))
    ingest(sealer=SEALER)
    seals = bench.rows("SELECT * FROM sealed_numbers ORDER BY image_id")
    new = Pseudonymiser(NEW, NAMES)
    ledger_rotate.begin(bench.ledger, NAMES.fingerprint, new.fingerprint)
    assert Rotate(bench.ledger, bench.store, new, decoders[1]).run(give_up=False).over
    assert found(bench, 11, new) == [[home]] * 3
    assert found(bench, 11, NAMES) == [[]] * 3
    assert bench.rows("SELECT * FROM sealed_numbers ORDER BY image_id") == seals


def opened(bench: Bench, study_id: UUID, sealer: Sealer) -> list[Numbers | None]:
    return [box and sealer.open(image, box) for image, box in numbers_of_study(bench.ledger, study_id)]


def test_nothing_is_kept_unless_it_is_switched_on(bench: Bench, ingest: DOES) -> None:
    home = bench.register("in/film.dcm", make_film(13)).study_id
    rejected(bench, 14)
    ingest()
    assert bench.rows("SELECT * FROM sealed_numbers") == []
    assert opened(bench, home, SEALER) == [None]


def test_numbers_of_accepted_and_rejected_films_are_kept_and_no_column_shows_them(bench: Bench, ingest: DOES) -> None:
    home, turned_away = bench.register("in/film.dcm", make_film(15)).study_id, rejected(bench, 16)
    bench.register("in/second.dcm", make_film(17, study="1.2.826.0.1.15", PatientID="PHANTOM15"))
    ingest(sealer=SEALER)
    assert opened(bench, home, SEALER) == [
        Numbers(accession="A15", patient="PHANTOM15"),
        Numbers(accession="A17", patient="PHANTOM15"),
    ]
    assert opened(bench, turned_away, SEALER) == [Numbers(accession="A16", patient="PHANTOM16")]
    assert "PHANTOM" not in str(bench.rows("SELECT * FROM sealed_numbers"))


CANARIES = {"PatientID": "CANARYPID", "AccessionNumber": "CANARYACC", "PatientName": "CANARYNAME"}


@pytest.mark.parametrize("sealer", [None, SEALER], ids=["off", "on"])
def test_canaries_are_in_the_table_of_keys_alone_and_under_the_seal_if_that_is_on(
    bench: Bench, ingest: DOES, sealer: Sealer | None, caplog: pytest.LogCaptureFixture
) -> None:
    home = bench.register("in/CANARYKEY/film.dcm", make_film(23, **CANARIES)).study_id
    turned_away = rejected(bench, 24, BodyPartExamined="KNEE", **CANARIES)
    caplog.set_level("INFO")
    ingest(sealer=sealer)
    whole = {table.name: str(bench.rows(f"SELECT * FROM {table.name}")) for table in metadata.sorted_tables}
    assert {name for name, rows in whole.items() if "CANARY" in rows} == {"object_keys"}
    assert "CANARY" not in caplog.text
    for key in bench.keys(bench.settings.derived_bucket):
        assert b"CANARY" not in bench.store.get(key)
    expected = [Numbers(accession="CANARYACC", patient="CANARYPID")] if sealer else [None]
    assert opened(bench, home, SEALER) == opened(bench, turned_away, SEALER) == expected
    assert opened(bench, home, Sealer(NEW)) == [None]


def test_a_row_that_was_moved_to_another_image_does_not_open(bench: Bench, ingest: DOES) -> None:
    one, two = (bench.register(f"in/{n}.dcm", make_film(n)).study_id for n in (18, 19))
    ingest(sealer=SEALER)
    with bench.ledger.work() as work:
        work.run("UPDATE sealed_numbers SET sealed = (SELECT max(sealed) FROM sealed_numbers)")
    assert sorted(map(str, opened(bench, one, SEALER) + opened(bench, two, SEALER))) == ["None", "Numbers()"]


def test_a_new_key_takes_the_place_of_the_old_one(bench: Bench, ingest: DOES) -> None:
    check_sealing_key(bench.ledger, *SEALER.fingerprints)
    home = bench.register("in/film.dcm", make_film(20)).study_id
    lost = bench.register("in/lost.dcm", make_film(21))
    ingest(sealer=SEALER)
    both = Sealer(NEW, SEALER)
    check_sealing_key(bench.ledger, *both.fingerprints)
    with bench.ledger.work() as work:
        work.run("UPDATE sealed_numbers SET sealed = 'AAAA' WHERE image_id = :id", {"id": lost.image_id})
    assert opened(bench, home, both) == [Numbers(accession="A20", patient="PHANTOM20")]
    report = reseal(bench.ledger.acting(Actor("rotation")), both)
    assert (report.sealed, report.left, report.exit_code) == (1, [str(lost.image_id)], 3)
    assert opened(bench, home, Sealer(NEW)) == [Numbers(accession="A20", patient="PHANTOM20")]
    assert opened(bench, home, SEALER) == [None]
    assert reseal(bench.ledger, both).sealed == 0
    said = bench.rows("SELECT actor, detail FROM audit WHERE what = 'numbers sealed anew'")
    assert said == [{"actor": "rotation", "detail": {"left": 1, "sealed": 1}}]


def test_what_is_sealed_or_purged_meanwhile_is_left_alone(bench: Bench, ingest: DOES) -> None:
    bench.register("in/film.dcm", make_film(22))
    ingest(sealer=SEALER)
    both = Sealer(NEW, SEALER)

    def meanwhile(image_id: UUID, sealed: SealedNumbers) -> SealedNumbers | None:
        with bench.ledger.work() as work:
            work.run("UPDATE sealed_numbers SET sealed = 'newer' WHERE image_id = :id", {"id": image_id})
        return both.seal(image_id, Numbers(accession="older"))

    assert seal_anew(bench.ledger, both.fingerprint, meanwhile) == (0, [])
    assert bench.value("SELECT sealed FROM sealed_numbers") == "newer"


def test_a_process_with_another_sealing_key_is_refused(bench: Bench) -> None:
    check_sealing_key(bench.ledger, *SEALER.fingerprints)
    check_sealing_key(bench.ledger, *SEALER.fingerprints)
    with pytest.raises(ConfigurationError, match="restore the key from its back-up"):
        check_sealing_key(bench.ledger, Sealer(NEW).fingerprint)
    check_sealing_key(bench.ledger, *Sealer(NEW, SEALER).fingerprints)
    with pytest.raises(ConfigurationError, match="rotate numbers"):
        check_sealing_key(bench.ledger, *SEALER.fingerprints)
