"""One study never holds two patients, in whatever order and company their images arrive under one StudyInstanceUID."""

from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledger_tools import (
    film,
    image_state,
    ingest,
    no_errors,
    one,
    picture,
    put,
    rows,
    settle_now,
    state_of,
    study_of,
    summarise,
    take,
    together,
    whole_study,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.studies import accept as accepting
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.states import Flag, JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")

NAMES = Pseudonymiser(bytes(32))


def of(patient: str | None, uid: str | None = "u1", issuer: str | None = None, **changes: Any) -> IngestedImage:
    """A film of this patient, as ingest names him."""
    who = {
        "patient_pseudonym": NAMES.patient(patient, issuer),
        "patient_id_pseudonym": NAMES.patient_id(patient, issuer),
    }
    return film(uid, **({"accession_pseudonym": None} | who | changes))


def found(ledger: Ledger, patient: str, issuer: str | None = None) -> list[UUID]:
    return sorted(read.lookup(ledger, "patient", NAMES.patient(patient, issuer) or ""))


def test_two_patients_under_one_uid_have_a_study_each(ledger: Ledger) -> None:
    a, b = ingest(ledger, put(ledger), of("A")), ingest(ledger, put(ledger), of("B"))
    assert a != b
    assert (found(ledger, "A"), found(ledger, "B")) == ([a], [b])
    assert sorted(read.lookup(ledger, "study", "u1")) == sorted([a, b])


def test_the_next_images_of_two_patients_join_the_study_of_their_own(ledger: Ledger) -> None:
    a, b = ingest(ledger, put(ledger), of("A")), ingest(ledger, put(ledger), of("B"))
    assert ingest(ledger, put(ledger), of("B", view="LATERAL")) == b
    assert ingest(ledger, put(ledger), of("A", view="LATERAL")) == a


def test_a_shared_uid_is_said_beside_both_drafts_however_often_they_are_settled(ledger: Ledger) -> None:
    _, a = whole_study(ledger, of("A"))
    _, b = whole_study(ledger, of("B"))
    assert read.study(ledger, a).flags == read.study(ledger, b).flags == [Flag.STUDY_UID_SHARED]
    ingest(ledger, put(ledger), of("A", rows=3000))
    settle_now(ledger, a)
    assert read.study(ledger, a).flags == [Flag.STUDY_UID_SHARED]
    assert {tuple(image.flags) for image in read.study(ledger, a).images} == {(Flag.STUDY_UID_SHARED,)}


def test_the_timelines_of_both_say_so_once_and_name_the_other_study(ledger: Ledger) -> None:
    a, b = ingest(ledger, put(ledger), of("A")), ingest(ledger, put(ledger), of("B"))
    ingest(ledger, put(ledger), of("A"))
    told = rows(ledger, "SELECT study_id, detail FROM timeline WHERE what = 'study UID shared'")
    assert {row["study_id"]: row["detail"] for row in told} == {a: {"studies": [str(b)]}, b: {"studies": [str(a)]}}
    assert len(told) == 2


def test_one_patients_studies_carry_no_flag(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), of("A"))
    ingest(ledger, put(ledger), of(None))
    assert [image.flags for image in read.study(ledger, home).images] == [[], []]


def test_an_issuer_that_one_image_leaves_out_is_found_with_and_without_it(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), of("A"))
    assert ingest(ledger, put(ledger), of("A", issuer="X")) == home
    assert found(ledger, "A") == found(ledger, "A", "X") == [home]
    assert found(ledger, "A", "Y") == []
    other = ingest(ledger, put(ledger), of("A", issuer="Y"))
    assert other != home
    assert (found(ledger, "A"), found(ledger, "A", "Y")) == ([home], [other])


def test_a_patients_second_accession_number_under_one_uid_leads_to_the_study_too(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), of("A", accession_pseudonym="n1"))
    assert ingest(ledger, put(ledger), of("A", accession_pseudonym="n2")) == home
    other = ingest(ledger, put(ledger), of("B", accession_pseudonym="n3"))
    assert [read.lookup(ledger, "accession", number) for number in ("n1", "n2", "n3")] == [[home], [home], [other]]


def test_equal_instances_of_two_patients_are_two_images(ledger: Ledger) -> None:
    same = {"sop_pseudonym": "s", "pixel_sha256": "p"}
    for patient in ("A", "B"):
        ingest(ledger, put(ledger), of(patient, **same))
    assert one(ledger, "SELECT count(*) FROM images WHERE duplicate_of IS NULL") == 2


def test_two_patients_read_at_the_same_moment_are_kept_apart(ledger: Ledger) -> None:
    given = [put(ledger) for _ in range(8)]
    claims = [take(ledger, JobKind.INGEST, registered.image_id) for registered in given]
    films = [of("AB"[number % 2]) for number in range(8)]
    no_errors(together(*[lambda c=c, f=f: complete_ingest(ledger, c, f) for c, f in zip(claims, films, strict=True)]))
    homes = [study_of(ledger, registered.image_id) for registered in given]
    assert len({*homes[::2]}) == len({*homes[1::2]}) == 1
    assert homes[0] != homes[1]


@pytest.mark.parametrize("uid", ["u1", None])
def test_an_object_overwritten_with_another_patients_film_leaves_the_first_ones_study(
    ledger: Ledger, uid: str | None
) -> None:
    old, a = whole_study(ledger, of("A"), "key")
    b = ingest(ledger, put(ledger, "key", "e2"), of("B", uid))
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    assert (found(ledger, "A"), found(ledger, "B")) == ([a], [b])
    settle_now(ledger, a)
    assert (state_of(ledger, a), read.study(ledger, a).summary) == ("cancelled", None)
    settle_now(ledger, b)
    summarise(ledger, b)


def test_a_study_without_a_uid_is_not_given_to_the_next_patient_of_its_object(ledger: Ledger) -> None:
    a = ingest(ledger, put(ledger, "key"), of("A", None))
    b = ingest(ledger, put(ledger, "key", "e2"), of("B", "u1"))
    assert a != b
    assert (found(ledger, "A"), found(ledger, "B")) == ([a], [b])


def test_a_purge_of_one_patient_leaves_the_other_alone(ledger: Ledger) -> None:
    (_, a), (_, b) = whole_study(ledger, of("A")), whole_study(ledger, of("B"))
    purge_study(ledger, a, lambda key: None)
    assert (found(ledger, "A"), found(ledger, "B")) == ([], [b])
    assert read.lookup(ledger, "study", "u1") == [b]
    assert read.study(ledger, b).summary is not None


def test_a_picture_that_takes_the_place_of_a_film_keeps_the_word_of_a_shared_uid(ledger: Ledger) -> None:
    ingest(ledger, put(ledger), of("A"))
    b = ingest(ledger, put(ledger, "key"), of("B"))
    assert ingest(ledger, put(ledger, "key", "e2"), picture()) == b
    settle_now(ledger, b)
    assert Flag.STUDY_UID_SHARED in read.study(ledger, b).flags


# One arrival: StudyInstanceUID, PatientID, issuer, an object that may hold something already, bare picture.
ARRIVALS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["u1", "u1", "u2", None]),
            st.sampled_from([None, "1", "2"]),
            st.sampled_from([None, "X", "Y"]),
            st.sampled_from([None, None, "k1", "k2"]),
            st.sampled_from([False] * 5 + [True]),
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=4,
)
Batches = Sequence[Sequence[tuple[str | None, str | None, str | None, str | None, bool]]]
_worlds = count()
INGEST = [(JobKind.INGEST, lane) for lane in Lane]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ARRIVALS)
def test_no_sequence_of_arrivals_gives_a_study_two_patients_and_both_paths_leave_equal_rows(
    ledger: Ledger, batches: Batches
) -> None:
    assert arrive(ledger, batches) == arrive(ledger, batches, plain=False)


@pytest.mark.long
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ARRIVALS)
def test_nor_does_any_of_very_many(ledger: Ledger, batches: Batches) -> None:
    assert arrive(ledger, batches) == arrive(ledger, batches, plain=False)


def arrive(ledger: Ledger, batches: Batches, *, plain: bool = True) -> list[dict[str, Any]]:
    """Let all these images arrive in a world of their own, look at it, and tell what became of them."""
    world = f"w{next(_worlds)}"
    images: list[tuple[UUID, str | None, str | None, str | None]] = []
    with pytest.MonkeyPatch.context() as patch:
        if not plain:
            patch.setattr(accepting, "accept_plain", lambda *_: set())
        for batch in batches:
            read = {}
            for uid, number, issuer, key, bare in batch:
                place = f"{world}-{len(images)}"
                registered = put(ledger, f"{world}-{key}" if key else place, place)
                who = number and f"{world}-{number}"
                said = picture() if bare else of(who, uid and f"{world}-{uid}", issuer, sop_pseudonym=place)
                read[registered.image_id] = said
                images.append((registered.image_id, said.study_pseudonym, None if bare else who, issuer))
            claims = claim_next(ledger, INGEST, "w", limit=len(batch))
            assert len(claims) == len(batch)
            complete_ingests(ledger, [(claim, read[claim.subject]) for claim in claims])
    look_up(ledger, images)
    return told(ledger, [image_id for image_id, *_ in images], world)


def look_up(ledger: Ledger, images: Sequence[tuple[UUID, str | None, str | None, str | None]]) -> None:
    """Every look-up leads to the studies of exactly those images, and shared UIDs are said."""
    for _, uid, who, issuer in images:
        mine = {study_of(ledger, i) for i, _, other, of_issuer in images if (other, of_issuer) == (who, issuer)}
        if who:
            assert set(found(ledger, who, issuer)) == mine
        if uid:
            homes = {study_of(ledger, image_id) for image_id, other, *_ in images if other == uid}
            assert homes <= set(read.lookup(ledger, "study", uid))
            shared = len(read.lookup(ledger, "study", uid)) > 1
            flags = rows(
                ledger,
                "SELECT flags FROM images WHERE study_id = ANY(CAST(:ids AS uuid[])) AND state = 'accepted'",
                ids=list(homes),
            )
            assert all((Flag.STUDY_UID_SHARED in row["flags"]) == shared for row in flags)


def told(ledger: Ledger, image_ids: Sequence[UUID], world: str) -> list[dict[str, Any]]:
    """The rows of these images and their studies, without what differs from world to world."""
    place = {image_id: number for number, image_id in enumerate(image_ids)}
    seen = rows(
        ledger,
        """
        SELECT i.id, i.study_id, i.state, i.reason_code, i.flags, i.names_read, i.duplicate_of IS NULL AS counts,
               i.patient_pseudonym, i.patient_id_pseudonym, i.accession_pseudonym, s.state AS study_state,
               s.uid_pseudonym, s.patient_pseudonym AS owner, s.patient_id_pseudonym AS owner_id, s.accession_pseudonym
               AS accession, s.other_pseudonyms, s.revision, s.expected_images, s.lane_rank, s.alias_of,
               (SELECT array_agg(split_part(key, ':', 2) || kind || state ORDER BY id) FROM jobs
                WHERE subject = s.id) AS jobs,
               (SELECT array_agg(what ORDER BY what) FROM timeline t WHERE t.study_id = s.id) AS story
        FROM images i JOIN studies s ON s.id = i.study_id WHERE i.id = ANY(CAST(:ids AS uuid[]))
        """,
        ids=list(image_ids),
    )
    names = {NAMES.patient(f"{world}-{n}", issuer): f"{n}|{issuer}" for n in "12" for issuer in (None, "X", "Y")}
    first = {row["study_id"]: place[row["id"]] for row in sorted(seen, key=lambda row: -place[row["id"]])}
    for row in seen:
        row |= {"id": place[row["id"]], "study_id": first[row["study_id"]]}
        row["uid_pseudonym"] = (row["uid_pseudonym"] or "").removeprefix(world)
        row["other_pseudonyms"] = sorted(names[one] for one in row["other_pseudonyms"])
        for name in ("patient_pseudonym", "patient_id_pseudonym", "owner", "owner_id"):
            row[name] = names[row[name]] if row[name] else None
    return sorted(seen, key=lambda row: row["id"])
