"""The labels of a text are kept with it, follow the text that stands, and go with it."""

from uuid import UUID

import pytest

from tests.support.label_tools import check_labels, stored_labels
from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    new_summary,
    one,
    put,
    rows,
    settle_now,
    sign,
    signer,
    start_summary,
    take,
    together,
    whole_study,
)
from tests.support.review_tools import REJECTED, TAKEN_BACK, UNDO, edited, say
from workers.relabel import RelabelReport, relabel
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.card.labels import Source
from xraygpt_core.ledger.card.relabel import store_anew, texts_to_label
from xraygpt_core.ledger.studies.chat import ask, complete_turn, stream_answer
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.review import Signer
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.report.text_labels import labels_of
from xraygpt_core.states import JobKind, ReviewState

pytestmark = pytest.mark.usefixtures("sound")

DRAFT = "Findings: Large left effusion. No pneumothorax. Impression: Possible nodule."


def summarised(ledger: Ledger, text: str = DRAFT) -> tuple[UUID, UUID]:
    """A study with this draft; its id and the summary's."""
    registered = put(ledger)
    study_id = ingest(ledger, registered, film(f"study of {registered.image_id}"))
    settle_now(ledger, study_id)
    taken, given = start_summary(ledger, study_id)
    return study_id, complete_summary(ledger, taken, given, new_summary(text))


def named(ledger: Ledger, summary_id: UUID) -> tuple[list[str] | None, list[str] | None]:
    (row,) = rows(ledger, "SELECT asserted, uncertain FROM summaries WHERE id = :id", id=summary_id)
    return row["asserted"], row["uncertain"]


def standing(ledger: Ledger) -> list[tuple[str, str]]:
    """The findings that count as an analyst sees them."""
    found = rows(ledger, "SELECT finding, status FROM findings WHERE stands ORDER BY finding, status")
    return [(row["finding"], row["status"]) for row in found]


def answered(ledger: Ledger, study_id: UUID, answer: str) -> UUID:
    turn_id = ask(ledger, study_id, "What is there?").turn_id
    taken = take(ledger, JobKind.CHAT, turn_id)
    stream_answer(ledger, taken, answer[:5])
    complete_turn(ledger, taken, answer, "demo", "f" * 64, {})
    return turn_id


def test_a_draft_has_its_labels_from_the_start(ledger: Ledger) -> None:
    _, summary_id = summarised(ledger)

    assert stored_labels(ledger, "draft", summary_id) == labels_of(DRAFT)
    assert named(ledger, summary_id) == (["effusion"], ["nodule"])
    check_labels(ledger)


def test_a_summary_asserts_what_the_text_says_that_stands(ledger: Ledger) -> None:
    _, summary_id = summarised(ledger)
    reader: Signer = signer(ledger)

    say(ledger, summary_id, reader, edited("Pneumothorax on the right."))
    assert named(ledger, summary_id) == (["pneumothorax"], [])
    say(ledger, summary_id, reader, edited("Possible pneumothorax."))
    assert named(ledger, summary_id) == ([], ["pneumothorax"])
    say(ledger, summary_id, reader, UNDO)
    assert named(ledger, summary_id) == (["pneumothorax"], [])
    check_labels(ledger)


@pytest.mark.parametrize("said", [None, "Pneumothorax on the right."])
def test_a_rejected_text_asserts_nothing_until_the_rejection_is_taken_back(ledger: Ledger, said: str | None) -> None:
    _, summary_id = summarised(ledger)
    reader = signer(ledger)
    if said is not None:
        say(ledger, summary_id, reader, edited(said))
    before, rows_before = named(ledger, summary_id), standing(ledger)

    for back in (UNDO, edited(said or DRAFT), TAKEN_BACK):
        say(ledger, summary_id, reader, REJECTED)
        assert (named(ledger, summary_id), standing(ledger)) == (([], []), [])
        check_labels(ledger)
        say(ledger, summary_id, reader, back)
        if back is not TAKEN_BACK:
            assert (named(ledger, summary_id), standing(ledger)) == (before, rows_before)
    assert named(ledger, summary_id) == (["effusion"], ["nodule"])
    check_labels(ledger)


def test_a_rejected_text_without_labels_is_labelled_and_asserts_nothing(ledger: Ledger) -> None:
    _, summary_id = summarised(ledger)
    sign(ledger, summary_id, ReviewState.REJECTED)
    older(ledger)

    relabel(ledger)

    assert named(ledger, summary_id) == ([], [])


def test_an_answer_is_labelled_once_it_is_whole(ledger: Ledger) -> None:
    study_id, _ = summarised(ledger)

    turn_id = answered(ledger, study_id, "Yes: a fracture of the left clavicle.")

    assert [one.finding for one in stored_labels(ledger, "answer", turn_id)] == ["fracture"]
    check_labels(ledger)


def test_a_worker_that_lost_its_lease_leaves_no_label(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    turn_id = ask(ledger, study_id, "What is there?").turn_id
    taken = take(ledger, JobKind.CHAT, turn_id)
    do(ledger, "UPDATE jobs SET lease_epoch = lease_epoch + 1 WHERE id = :id", id=taken.job_id)

    with pytest.raises(LeaseLost):
        complete_turn(ledger, taken, "An effusion.", "demo", "f" * 64, {})

    assert one(ledger, "SELECT count(*) FROM labelled_texts WHERE source = 'answer'") == 0


def test_a_purge_removes_them_all(ledger: Ledger) -> None:
    study_id, summary_id = summarised(ledger)
    say(ledger, summary_id, signer(ledger), edited("Effusion."))
    answered(ledger, study_id, "An effusion.")

    purge_study(ledger, study_id, lambda _: None)

    assert one(ledger, "SELECT count(*) FROM labelled_texts") == 0
    assert one(ledger, "SELECT count(*) FROM finding_labels") == 0


def older(ledger: Ledger) -> None:
    """As an older version left it: some texts without labels, some with those of another labeller."""
    do(ledger, "DELETE FROM labelled_texts WHERE source <> 'draft'")
    do(ledger, "UPDATE labelled_texts SET labeller = 'of old'")
    do(ledger, "DELETE FROM finding_labels")
    do(ledger, "UPDATE summaries SET asserted = NULL, uncertain = '{}'")


def test_texts_of_older_versions_are_labelled_once(ledger: Ledger) -> None:
    study_id, summary_id = summarised(ledger)
    say(ledger, summary_id, signer(ledger), edited("Possible effusion."))
    answered(ledger, study_id, "A mass.")
    ask(ledger, study_id, "And now?")  # not answered yet
    older(ledger)

    report = relabel(ledger)

    assert report.labelled == {"draft": 1, "review": 1, "answer": 1}
    assert report.lines() == ["labelled by version 1: 1 drafts, 1 reviews, 1 answers"]
    check_labels(ledger)
    assert relabel(ledger).document() == RelabelReport().document()


def test_a_text_that_is_purged_meanwhile_is_left_out(ledger: Ledger) -> None:
    study_id, summary_id = summarised(ledger)
    say(ledger, summary_id, signer(ledger), edited("Effusion."))
    answered(ledger, study_id, "A mass.")
    older(ledger)
    pages = {source: texts_to_label(ledger, source, UUID(int=0)) for source in Source}
    purge_study(ledger, study_id, lambda _: None)

    for source, page in pages.items():
        assert page
        assert store_anew(ledger, source, {text_id: labels_of(text) for text_id, text in page.items()}) == 0

    check_labels(ledger)


def test_a_purge_a_review_and_two_relabellings_at_one_moment_leave_what_stands(ledger: Ledger) -> None:
    purged, first = summarised(ledger)
    _, second = summarised(ledger)
    reader = signer(ledger)
    for summary_id in (first, second):
        say(ledger, summary_id, reader, edited("Effusion."))
    answered(ledger, purged, "A mass.")
    older(ledger)

    results = together(
        lambda: relabel(ledger),
        lambda: purge_study(ledger, purged, lambda _: None),
        lambda: relabel(ledger),
        lambda: sign(ledger, second, ReviewState.EDITED, "Possible fracture."),
    )

    assert not [one for one in results if isinstance(one, BaseException)]
    relabel(ledger)
    check_labels(ledger)
    assert named(ledger, second) == ([], ["fracture"])
