"""``python -m workers.seal``: films that came before numbers were kept get theirs under seal."""

import hashlib
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from tests.support.ledger_tools import film, ingest, picture
from tests.support.worker_bench import Bench, make_film
from workers.refill import RefillReport
from workers.reseal import reseal
from workers.seal import fill_numbers, main
from xraygpt_core.dicom.sandbox import Sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.preflight import check_sealing_key
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.studies.fill_numbers import store_numbers, unsealed_films
from xraygpt_core.ledger.studies.header_names import RejectedHeader, numbers_of_study
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.sealing import Numbers, Sealer
from xraygpt_core.states import JobKind, ReasonCode

OLD, NEW = (hashlib.sha256(word).digest() for word in (b"old", b"new"))
SEALER = Sealer(OLD)
NOBODY = UUID(int=0)


@pytest.fixture(scope="module")
def headers() -> Iterator[Sandbox]:
    with header_sandbox(Limits(10**6, 30.0, 2**30)) as sandbox:
        yield sandbox


@pytest.fixture
def fill(bench: Bench, headers: Sandbox) -> Callable[..., RefillReport]:
    """What the command does once it has its services."""

    def do(sealer: Sealer = SEALER) -> RefillReport:
        check_sealing_key(bench.ledger, *sealer.fingerprints)
        return fill_numbers(bench.ledger.acting(Actor("seal")), bench.store, headers, sealer)

    return do


def accepted(bench: Bench, number: int, image: IngestedImage | None = None, data: bytes = b"") -> Registered:
    """A film that a version without seals accepted."""
    registered = bench.register(f"in/{number}.dcm", data or make_film(number))
    ingest(bench.ledger, registered, image or film(f"study {number}"))
    return registered


def rejected(bench: Bench, number: int, names: tuple[str, ...]) -> Registered:
    registered = bench.register(f"in/{number}.dcm", make_film(number))
    claim: Claim = bench.claimed(JobKind.INGEST)
    reject_image(bench.ledger, claim, ReasonCode.WRONG_BODY_PART, "a knee", RejectedHeader(names))
    return registered


def opened(bench: Bench, study_id: UUID, sealer: Sealer = SEALER) -> list[Numbers | None]:
    return [box and sealer.open(image, box) for image, box in numbers_of_study(bench.ledger, study_id)]


def test_films_from_before_are_sealed_and_done_there_is_nothing_to_do(
    bench: Bench, fill: Callable[..., RefillReport]
) -> None:
    one, two = accepted(bench, 1), rejected(bench, 2, ("a name",))
    report = fill()
    assert (report.lines(), report.exit_code) == (["2 films sealed, 0 not"], 0)
    assert opened(bench, one.study_id) == [Numbers(accession="A1", patient="PHANTOM1")]
    assert opened(bench, two.study_id) == [Numbers(accession="A2", patient="PHANTOM2")]
    before = bench.rows("SELECT * FROM sealed_numbers ORDER BY image_id")
    assert fill().document() == {"filled": 0, "left": {}}
    assert bench.rows("SELECT * FROM sealed_numbers ORDER BY image_id") == before
    assert "PHANTOM" not in str(before)
    said = bench.rows("SELECT actor, detail FROM audit WHERE what = 'numbers filled in' ORDER BY id")
    assert said == [{"actor": "seal", "detail": {"sealed": n, "left": 0}} for n in (2, 0)]


def test_a_film_that_names_nobody_is_not_read_again(bench: Bench, fill: Callable[..., RefillReport]) -> None:
    accepted(bench, 3, film("u", patient_pseudonym=None, accession_pseudonym=None))
    accepted(bench, 4, picture())
    rejected(bench, 5, ())
    assert unsealed_films(bench.ledger, NOBODY) == []
    assert fill().filled == 0


def test_a_film_without_a_number_in_its_header_is_no_failure(bench: Bench, fill: Callable[..., RefillReport]) -> None:
    accepted(bench, 6, data=make_film(6, PatientID="", AccessionNumber=""))
    assert (fill().document(), bench.rows("SELECT * FROM sealed_numbers")) == ({"filled": 0, "left": {}}, [])


def test_a_film_whose_object_is_gone_is_named_and_the_others_are_sealed(
    bench: Bench, fill: Callable[..., RefillReport]
) -> None:
    gone, there = accepted(bench, 7), accepted(bench, 8)
    bench.client.delete_object(Bucket=bench.settings.bucket, Key="in/7.dcm")
    report = fill()
    assert report.lines() == [f"not read: image {gone.image_id} (no longer in the bucket)", "1 films sealed, 1 not"]
    assert report.exit_code == 3
    assert opened(bench, there.study_id) == [Numbers(accession="A8", patient="PHANTOM8")]


def test_a_film_that_is_purged_or_sealed_meanwhile_is_left_alone(bench: Bench) -> None:
    check_sealing_key(bench.ledger, *SEALER.fingerprints)
    done, purged = accepted(bench, 9), accepted(bench, 10)
    images = [one.image_id for one in unsealed_films(bench.ledger, NOBODY)]
    boxes = {image: box for image in images if (box := SEALER.seal(image, Numbers(accession="x")))}
    purge_study(bench.ledger, purged.study_id, bench.store.delete)
    assert [store_numbers(bench.ledger, SEALER.fingerprint, boxes) for _ in range(2)] == [1, 0]
    assert bench.rows("SELECT image_id FROM sealed_numbers") == [{"image_id": done.image_id}]
    assert store_numbers(bench.ledger, SEALER.fingerprint, {}) == 0


def test_a_key_that_is_replaced_meanwhile_ends_the_fill_and_the_new_one_goes_on(
    bench: Bench, fill: Callable[..., RefillReport]
) -> None:
    first = accepted(bench, 11)
    fill()
    second = accepted(bench, 12)
    both = Sealer(NEW, SEALER)
    check_sealing_key(bench.ledger, *both.fingerprints)
    late = SEALER.seal(second.image_id, Numbers(accession="late"))
    assert late is not None
    with pytest.raises(ConfigurationError, match="the sealing key was replaced meanwhile"):
        store_numbers(bench.ledger, SEALER.fingerprint, {second.image_id: late})
    assert fill(both).filled == 1
    assert reseal(bench.ledger, both).sealed == 1
    for number, study in ((11, first), (12, second)):
        found = opened(bench, study.study_id, Sealer(NEW))
        assert found == [Numbers(accession=f"A{number}", patient=f"PHANTOM{number}")]


def test_nothing_is_sealed_while_the_setting_is_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XRAYGPT_SEALING_KEY", OLD.hex())
    accepted(bench, 13)
    assert main([]) == 1
    assert "XRAYGPT_SEALED_NUMBERS is not true" in capsys.readouterr().err
    assert bench.rows("SELECT * FROM sealed_numbers") == []
