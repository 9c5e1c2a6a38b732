"""A review changes what its reader saw, or nothing; and what was said before stays."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from tests.support.ledger_tools import do, no_errors, one, rows, signer, summarise, together, whole_study
from tests.support.review_tools import ACCEPTED, REJECTED, TAKEN_BACK, UNDO, acts, edited, say, seen
from xraygpt_core.errors import Conflict, Forbidden, InvalidRequest
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.review import Seen, Signer, Verdict, review_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import KeyKind, ReviewState, Role

pytestmark = pytest.mark.usefixtures("sound")


@pytest.fixture
def draft(ledger: Ledger) -> UUID:
    whole_study(ledger)
    summary_id: UUID = one(ledger, "SELECT id FROM summaries")
    return summary_id


@pytest.fixture
def reader(ledger: Ledger) -> Signer:
    return signer(ledger, "Dr. R")


@pytest.fixture
def other(ledger: Ledger) -> Signer:
    return signer(ledger, "Dr. S")


def test_what_still_stands_as_it_was_seen_is_signed(ledger: Ledger, draft: UUID, reader: Signer) -> None:
    say(ledger, draft, reader, ACCEPTED)
    say(ledger, draft, reader, edited("Normal."))
    now = read.summary(ledger, draft)
    assert (now.review_state, now.summary) == ("edited", "Normal.")


def test_what_somebody_signed_meanwhile_is_not_overwritten(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer
) -> None:
    before = seen(ledger, draft)
    review_summary(ledger, draft, edited("Pneumothorax."), reader, before)
    stood = read.summary(ledger, draft)
    with pytest.raises(Conflict, match="'edited' now"):
        review_summary(ledger, draft, ACCEPTED, other, before)
    assert read.summary(ledger, draft) == stood
    assert len(rows(ledger, "SELECT 1 FROM timeline WHERE what LIKE 'summary %'")) == 1


def test_the_same_state_at_another_time_is_not_what_was_seen(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer
) -> None:
    say(ledger, draft, reader, ACCEPTED)
    now = seen(ledger, draft)
    assert now.reviewed_at is not None
    earlier = Seen(now.review_state, now.reviewed_at - timedelta(microseconds=1), None)
    with pytest.raises(Conflict):
        review_summary(ledger, draft, REJECTED, other, earlier)


def test_a_summary_that_was_superseded_meanwhile_is_not_signed(ledger: Ledger, draft: UUID, reader: Signer) -> None:
    before = seen(ledger, draft)
    study_id = one(ledger, "SELECT study_id FROM summaries")
    do(ledger, "UPDATE installation SET served_bundle = 'next'")
    resummarise(ledger, study_ids=[study_id], bundle=None)
    summarise(ledger, study_id, bundle="next")
    with pytest.raises(Conflict, match="newer"):
        review_summary(ledger, draft, ACCEPTED, reader, before)
    assert read.summary(ledger, draft).review_state == "draft"


def test_of_two_who_sign_at_the_same_moment_one_is_told(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer
) -> None:
    before = seen(ledger, draft)
    results = together(
        lambda: review_summary(ledger, draft, ACCEPTED, reader, before),
        lambda: review_summary(ledger, draft, REJECTED, other, before),
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "UUID"]
    assert len(no_errors([result for result in results if not isinstance(result, Conflict)])) == 1


def test_a_program_that_says_nothing_of_what_it_saw_signs_and_hides_no_text(
    ledger: Ledger, draft: UUID, reader: Signer
) -> None:
    say(ledger, draft, reader, edited("Mine."))
    itself = replace(edited("Its."), reason="The archive has it so.")
    review_summary(ledger, draft, itself, signer(ledger, "PACS", KeyKind.PROGRAM))
    assert acts(ledger, draft) == [("edited", "Mine.", "Dr. R"), ("edited", "Its.", "PACS")]


def test_a_person_who_does_not_say_what_was_seen_signs_nothing(ledger: Ledger, draft: UUID, reader: Signer) -> None:
    with pytest.raises(InvalidRequest, match="seen"):
        review_summary(ledger, draft, ACCEPTED, reader)
    assert acts(ledger, draft) == []


def test_a_person_signs_in_nobody_elses_name_and_a_program_may(ledger: Ledger, draft: UUID, reader: Signer) -> None:
    with pytest.raises(InvalidRequest, match="own name"):
        say(ledger, draft, Signer(reader.key, "Prof. Else"), ACCEPTED)
    pacs = signer(ledger, "PACS", KeyKind.PROGRAM)
    say(ledger, draft, Signer(pacs.key, "Dr. Who"), ACCEPTED)
    (act,) = read.reviews(ledger, draft)[1]
    assert (act.reviewer, act.key_name, act.key_kind, act.key_id) == (
        "Dr. Who",
        "PACS",
        KeyKind.PROGRAM,
        pacs.key.key_id,
    )


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " Dr. R",
        "Dr.\u200bR",
        "Dr. \x1b[31mR",
        "\u202eR .rD",
        "a\nb",
        "a\0",
        "x" * 201,
        "Dr.  R",
        "Dr. R\u034f",
        "\u3164",
    ],
)
def test_a_name_that_is_not_what_it_looks_like_signs_nothing(ledger: Ledger, draft: UUID, name: str) -> None:
    program = signer(ledger, "PACS", KeyKind.PROGRAM)
    with pytest.raises(InvalidRequest):
        review_summary(ledger, draft, ACCEPTED, Signer(program.key, name))


def test_what_was_on_the_screen_is_kept_and_another_film_is_refused(
    ledger: Ledger, draft: UUID, reader: Signer
) -> None:
    do(ledger, "UPDATE images SET normalised_sha256 = :sha", sha="a" * 64)
    with pytest.raises(Conflict, match="film on the screen"):
        review_summary(ledger, draft, ACCEPTED, reader, Seen(ReviewState.DRAFT, None, None, "b" * 64))
    review_summary(ledger, draft, ACCEPTED, reader, Seen(ReviewState.DRAFT, None, None, "a" * 64, shown_ms=900))
    assert read.reviews(ledger, draft)[1][0].seen == {
        "review_state": "draft",
        "reviewed_at": None,
        "superseded_at": None,
        "image_sha256": "a" * 64,
        "shown_ms": 900,
    }


def test_a_text_that_was_taken_back_stays_among_the_reviews(ledger: Ledger, draft: UUID, reader: Signer) -> None:
    say(ledger, draft, reader, edited("Heart enlarged."))
    say(ledger, draft, reader, TAKEN_BACK)
    now = read.summary(ledger, draft)
    assert (now.review_state, now.summary) == ("draft", "Findings: clear lungs. Impression: normal.")
    assert acts(ledger, draft) == [("edited", "Heart enlarged.", "Dr. R"), ("draft", None, "Dr. R")]


def test_another_persons_review_is_taken_back_by_a_lead_with_a_reason_only(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer
) -> None:
    say(ledger, draft, reader, edited("Heart enlarged."))
    say(ledger, draft, other, ACCEPTED)
    for said in (TAKEN_BACK, Verdict(ReviewState.DRAFT, reason=" ")):
        with pytest.raises(InvalidRequest, match="reason"):
            say(ledger, draft, other, said)
    say(ledger, draft, other, Verdict(ReviewState.DRAFT, reason="The wrong patient."))
    assert read.reviews(ledger, draft)[1][-1].reason == "The wrong patient."
    assert ("edited", "Heart enlarged.", "Dr. R") in acts(ledger, draft)


def test_a_reader_takes_the_own_review_back_and_no_other(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer
) -> None:
    plain = Signer(replace(other.key, roles=frozenset({Role.READER, Role.SERVICE})))
    say(ledger, draft, reader, edited("Heart enlarged."))
    with pytest.raises(Forbidden, match="role lead"):
        say(ledger, draft, plain, Verdict(ReviewState.DRAFT, reason="The wrong patient."))
    say(ledger, draft, plain, ACCEPTED)
    with pytest.raises(Forbidden, match="role lead"):
        say(ledger, draft, plain, Verdict(ReviewState.DRAFT, reason="All of it."))
    say(ledger, draft, plain, UNDO)
    assert read.summary(ledger, draft).summary == "Heart enlarged."


def test_to_reject_what_another_person_signed_takes_the_role_lead_and_a_reason(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer
) -> None:
    plain = Signer(replace(other.key, roles=frozenset({Role.READER})))
    say(ledger, draft, reader, ACCEPTED)
    with pytest.raises(Forbidden, match="role lead"):
        say(ledger, draft, plain, Verdict(ReviewState.REJECTED, reason="wrong_side"))
    with pytest.raises(InvalidRequest, match="say why"):
        say(ledger, draft, other, REJECTED)
    say(ledger, draft, other, Verdict(ReviewState.REJECTED, reason="wrong_side"))
    assert read.summary(ledger, draft).review_state == "rejected"


@pytest.mark.parametrize(("stands", "otherwise"), [(ACCEPTED, edited("Normal.")), (REJECTED, ACCEPTED)])
def test_to_say_otherwise_than_another_person_takes_a_reason_and_to_say_the_same_takes_none(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer, stands: Verdict, otherwise: Verdict
) -> None:
    plain = Signer(replace(other.key, roles=frozenset({Role.READER})))
    say(ledger, draft, reader, stands)
    with pytest.raises(InvalidRequest, match="say why"):
        say(ledger, draft, plain, otherwise)
    say(ledger, draft, plain, stands)
    assert [action for action, _, _ in acts(ledger, draft)] == [stands.state] * 2


def test_an_undone_signature_lets_the_one_below_it_stand_again(
    ledger: Ledger, draft: UUID, reader: Signer, other: Signer
) -> None:
    say(ledger, draft, reader, edited("Heart enlarged."))
    stood = read.summary(ledger, draft)
    say(ledger, draft, other, Verdict(ReviewState.REJECTED, reason="wrong_side"))
    with pytest.raises(InvalidRequest, match="who did it"):
        say(ledger, draft, reader, UNDO)
    say(ledger, draft, other, UNDO)
    assert read.summary(ledger, draft) == stood
    assert [action for action, _, _ in acts(ledger, draft)] == ["edited", "rejected", "undone"]


def test_a_take_back_is_undone_like_any_other_act(ledger: Ledger, draft: UUID, reader: Signer) -> None:
    say(ledger, draft, reader, edited("Heart enlarged."))
    stood = read.summary(ledger, draft)
    say(ledger, draft, reader, TAKEN_BACK)
    say(ledger, draft, reader, UNDO)
    assert read.summary(ledger, draft) == stood
    say(ledger, draft, reader, UNDO)
    assert read.summary(ledger, draft).reviewed_by is None


@pytest.mark.parametrize("said", [TAKEN_BACK, UNDO])
def test_there_is_nothing_to_take_back_of_a_draft(ledger: Ledger, draft: UUID, reader: Signer, said: Verdict) -> None:
    with pytest.raises(Conflict, match="nothing to take back"):
        say(ledger, draft, reader, said)


def test_a_program_takes_back_for_one_person_what_it_signed_for_another_with_a_reason_only(
    ledger: Ledger, draft: UUID
) -> None:
    pacs = signer(ledger, "PACS", KeyKind.PROGRAM)
    review_summary(ledger, draft, edited("Heart enlarged."), Signer(pacs.key, "Dr. A"))
    with pytest.raises(InvalidRequest, match="reason"):
        review_summary(ledger, draft, TAKEN_BACK, Signer(pacs.key, "Dr. B"))
    with pytest.raises(InvalidRequest, match="reason"):
        review_summary(ledger, draft, TAKEN_BACK, pacs)
    with pytest.raises(InvalidRequest, match="undone by the person who did it"):
        review_summary(ledger, draft, UNDO, pacs)
    review_summary(ledger, draft, TAKEN_BACK, Signer(pacs.key, "Dr. A"))
    assert read.summary(ledger, draft).review_state == "draft"
