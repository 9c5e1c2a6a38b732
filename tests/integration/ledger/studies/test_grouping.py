"""Which images are one study: found by pseudonym, joined under locks, and resolved from every id ever given out."""

import pytest

from tests.support.ledger_tools import (
    film,
    image_state,
    ingest,
    job_of,
    no_errors,
    one,
    picture,
    put,
    reject,
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
from xraygpt_core.ledger.studies import pictures, read
from xraygpt_core.ledger.studies.accept import ingest_inputs
from xraygpt_core.ledger.studies.chat import ask, transcript
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.studies.image_status import images_status
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, JobKind, Lane, ReasonCode

pytestmark = pytest.mark.usefixtures("sound")


def test_ingest_is_told_exactly_the_registered_object(ledger: Ledger) -> None:
    registered = put(ledger, "folder/a", "e7", version_id="v1")
    given = ingest_inputs(ledger, [take(ledger, JobKind.INGEST, registered.image_id)])[registered.image_id]
    assert (given.image_id, given.bucket, given.key, given.etag, given.version_id) == (
        registered.image_id,
        "source",
        "folder/a",
        "e7",
        "v1",
    )


def test_the_first_image_of_a_study_makes_its_provisional_study_the_real_one(ledger: Ledger) -> None:
    registered = put(ledger)
    assert ingest(ledger, registered, film("u1")) == registered.study_id
    found = rows(ledger, "SELECT uid_pseudonym, patient_pseudonym, accession_pseudonym, state FROM studies")
    assert found == [
        {
            "uid_pseudonym": "u1",
            "patient_pseudonym": "patient-1",
            "accession_pseudonym": "accession-1",
            "state": "waiting",
        }
    ]


def test_the_second_image_of_a_study_moves_there_and_leaves_an_alias(ledger: Ledger) -> None:
    first, second = put(ledger), put(ledger)
    home = ingest(ledger, first, film("u1"))
    assert ingest(ledger, second, film("u1", view="LATERAL")) == home
    assert one(ledger, "SELECT alias_of FROM studies WHERE id = :id", id=second.study_id) == home
    assert len(read.study(ledger, home).images) == 2


def test_every_reader_follows_the_alias(ledger: Ledger) -> None:
    first, second = put(ledger), put(ledger)
    home = ingest(ledger, first, film("u1"))
    ingest(ledger, second, film("u1"))
    settle_now(ledger, home)
    summarise(ledger, home)
    turn = ask(ledger, second.study_id, "Is the heart large?")
    assert read.study(ledger, second.study_id).study_id == home
    assert images_status(ledger, [second.image_id])[0].study_id == home
    assert [one.turn_id for one in transcript(ledger, second.study_id)] == [turn.turn_id]
    assert pictures.preview(ledger, second.study_id).key == pictures.preview(ledger, home).key
    steps = read.timeline(ledger, second.study_id)
    assert steps == read.timeline(ledger, home)
    assert [step["what"] for step in steps].count("registered") == 2


def test_two_images_of_a_new_study_read_at_the_same_moment_meet(ledger: Ledger) -> None:
    given = [put(ledger) for _ in range(6)]
    claims = [take(ledger, JobKind.INGEST, registered.image_id) for registered in given]
    no_errors(together(*[lambda got=got: complete_ingest(ledger, got, film("u1")) for got in claims]))
    assert len({study_of(ledger, registered.image_id) for registered in given}) == 1
    assert one(ledger, "SELECT count(*) FROM studies WHERE alias_of IS NULL") == 1
    assert one(ledger, "SELECT revision FROM studies WHERE alias_of IS NULL") == 6


def test_the_most_urgent_lane_of_its_images_is_the_studys(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger, lane=Lane.BACKLOG), film("u1"))
    ingest(ledger, put(ledger, lane=Lane.STAT), film("u1"))
    assert read.study(ledger, home).lane == "stat"
    job_id = job_of(ledger, JobKind.SETTLE, home)
    assert one(ledger, "SELECT lane_rank FROM jobs WHERE id = :id", id=job_id) == Lane.STAT.rank


def test_pictures_are_studies_of_their_own(ledger: Ledger) -> None:
    first, second = (ingest(ledger, put(ledger), picture()) for _ in range(2))
    assert first != second
    assert one(ledger, "SELECT count(*) FROM studies WHERE alias_of IS NOT NULL") == 0


def test_the_same_instance_with_equal_pixels_counts_once(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), film("u1", sop_pseudonym="s", pixel_sha256="p"))
    twin = put(ledger)
    ingest(ledger, twin, film("u1", sop_pseudonym="s", pixel_sha256="p"))
    assert one(ledger, "SELECT duplicate_of IS NOT NULL FROM images WHERE id = :id", id=twin.image_id)
    settle_now(ledger, home)
    summarise(ledger, home)
    assert images_status(ledger, [twin.image_id])[0].state == "summarised"
    assert rows(ledger, "SELECT DISTINCT unnest(flags) FROM images") == []


def test_one_instance_uid_on_different_pixels_is_flagged_on_both(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), film("u1", sop_pseudonym="s", pixel_sha256="p"))
    ingest(ledger, put(ledger), film("u1", sop_pseudonym="s", pixel_sha256="q"))
    assert [image.flags for image in read.study(ledger, home).images] == [[Flag.SOP_UID_REUSED]] * 2
    settle_now(ledger, home)
    assert read.study(ledger, home).flags == [Flag.SOP_UID_REUSED]


def test_a_copy_counts_when_its_original_is_overwritten(ledger: Ledger) -> None:
    original = put(ledger, "a")
    home = ingest(ledger, original, film("u1", sop_pseudonym="s", pixel_sha256="p"))
    copy = put(ledger, "b")
    ingest(ledger, copy, film("u1", sop_pseudonym="s", pixel_sha256="p"))
    ingest(ledger, put(ledger, "a", "e2"), film("u2"))
    assert image_state(ledger, original.image_id) == ("cancelled", "replaced")
    settle_now(ledger, home)
    summarise(ledger, home)
    found = read.study(ledger, home)
    assert found.summary is not None
    assert found.summary.image_id == copy.image_id


def test_an_object_overwritten_with_an_image_of_another_study_leaves_its_old_study(ledger: Ledger) -> None:
    old, old_study = whole_study(ledger, film("u1"), "a")
    new = put(ledger, "a", "e2")
    new_study = ingest(ledger, new, film("u2", patient_pseudonym="patient-2"))
    assert new_study != old_study
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    settle_now(ledger, old_study)
    assert (state_of(ledger, old_study), read.study(ledger, old_study).summary) == ("cancelled", None)
    settle_now(ledger, new_study)
    summarise(ledger, new_study)
    assert rows(ledger, "SELECT study_id, patient_pseudonym FROM study_summaries") == [
        {"study_id": new_study, "patient_pseudonym": "patient-2"}
    ]


def test_an_object_overwritten_with_an_image_of_a_known_study_joins_that(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), film("u2"))
    _, old_study = whole_study(ledger, film("u1"), "a")
    assert ingest(ledger, put(ledger, "a", "e2"), film("u2")) == home
    assert one(ledger, "SELECT alias_of FROM studies WHERE id = :id", id=old_study) is None
    settle_now(ledger, old_study)
    assert state_of(ledger, old_study) == "cancelled"


def test_a_picture_overwritten_with_an_image_of_a_known_study_takes_its_summary_with_it(ledger: Ledger) -> None:
    """The picture's study had a summary: it must not go on living under an id that leads to another study."""
    home = ingest(ledger, put(ledger), film("u2"))
    _, old_study = whole_study(ledger, picture(), "a.png")
    assert ingest(ledger, put(ledger, "a.png", "e2"), film("u2")) == home
    settle_now(ledger, old_study)
    found = read.study(ledger, old_study)
    assert (found.study_id, found.state, found.summary) == (old_study, "cancelled", None)


def test_a_rejected_image_says_why_and_so_does_its_study(ledger: Ledger) -> None:
    registered = put(ledger)
    reject(ledger, registered, ReasonCode.WRONG_BODY_PART)
    status = images_status(ledger, [registered.image_id])[0]
    assert (status.state, status.reason_code) == ("rejected", "wrong_body_part")
    assert read.study(ledger, registered.study_id).reason_code == "wrong_body_part"
    assert read.timeline(ledger, registered.study_id)[-1]["detail"] == {
        "reason_code": "wrong_body_part",
        "detail": "as the test says",
    }


def test_a_bad_image_that_overwrites_a_good_one_takes_the_summary_with_it(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1"), "a")
    reject(ledger, put(ledger, "a", "e2"), ReasonCode.BLANK)
    settle_now(ledger, study_id)
    found = read.study(ledger, study_id)
    assert (found.state, found.reason_code, found.summary) == ("rejected", "blank", None)
    assert one(ledger, "SELECT chosen_image FROM studies WHERE id = :id", id=study_id) is None


def test_an_image_that_moved_while_its_study_was_awaited_ends_in_the_right_one(ledger: Ledger) -> None:
    """Two contents of one key: the first finds its study while the second is turned away."""
    home = ingest(ledger, put(ledger), film("u1"))
    first, second = put(ledger, "a", "e1"), put(ledger, "a", "e2")
    ours, theirs = (take(ledger, JobKind.INGEST, one.image_id) for one in (first, second))
    no_errors(
        together(
            lambda: complete_ingest(ledger, ours, film("u1")),
            lambda: reject_image(ledger, theirs, ReasonCode.BLANK, "blank"),
        )
    )
    assert read.study(ledger, first.study_id).study_id in {home, first.study_id}
    assert image_state(ledger, second.image_id) == ("rejected", "blank")


def test_status_keeps_the_order_asked_and_leaves_strangers_out(ledger: Ledger) -> None:
    given = [put(ledger) for _ in range(3)]
    asked = [given[2].image_id, given[0].study_id, given[1].image_id]
    assert [one.image_id for one in images_status(ledger, asked)] == [given[2].image_id, given[1].image_id]


def test_a_study_is_found_by_its_pseudonyms(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), film("u1"))
    assert read.lookup(ledger, "study", "u1") == [home]
    assert read.lookup(ledger, "patient", "patient-1") == [home]
    assert read.lookup(ledger, "accession", "accession-1") == [home]
    assert read.lookup(ledger, "accession", "patient-1") == []
