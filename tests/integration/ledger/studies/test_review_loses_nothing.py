"""Whatever three people do to a summary, and at whatever moment: no text that was taken is ever lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.label_tools import check_labels
from tests.support.ledger_tools import (
    do,
    one,
    rows,
    sign,
    signer,
    summarise,
    together,
    until_it_waits,
    whole_study,
)
from xraygpt_core.errors import Conflict, InvalidRequest
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.review import Seen, Signer, Verdict, review_summary
from xraygpt_core.ledger.studies.review_history import Review
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import ReviewState

NAMING = st.sampled_from(["Effusion on the left.", "No effusion.", "Possible nodule. Large heart.", "Normal."])
TEXTS = NAMING | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    str.strip
)
SAYINGS = st.one_of(
    st.builds(Verdict, st.sampled_from([ReviewState.ACCEPTED, ReviewState.REJECTED])),
    st.builds(Verdict, st.just(ReviewState.EDITED), TEXTS),
    st.builds(Verdict, st.just(ReviewState.DRAFT), reason=st.none() | st.just("It is the wrong side.")),
    st.just(Verdict(ReviewState.DRAFT, undo=True)),
)


@dataclass(frozen=True)
class Act:
    """What one of three people says, having looked at the summary now, or before the last change."""

    who: int
    said: Verdict
    stale: bool


ACTS = st.builds(Act, st.integers(0, 2), SAYINGS, st.booleans())
# One act alone, or several at one moment; now and then a newer draft takes the place of the one they read.
STEPS = st.lists(st.one_of(ACTS.map(lambda act: [act]), st.lists(ACTS, min_size=2, max_size=3), st.none()), max_size=6)


def looked(ledger: Ledger, summary_id: UUID) -> Seen:
    now = read.summary(ledger, summary_id)
    return Seen(ReviewState(now.review_state), now.reviewed_at, now.superseded_at)


@dataclass
class Ward:
    """Three people, the newest summary of a study, how it stood before the last change, and every text taken."""

    ledger: Ledger
    people: list[Signer]
    study_id: UUID
    summary_id: UUID
    before: Seen
    taken: list[tuple[UUID, str, str]] = field(default_factory=list)

    def newer_draft(self) -> None:
        bundle = f"bundle-{new_id()}"
        do(self.ledger, "UPDATE installation SET served_bundle = :name", name=bundle)
        resummarise(self.ledger, study_ids=[self.study_id], bundle=None)
        self.summary_id = summarise(self.ledger, self.study_id, bundle=bundle)

    def act(self, acts: list[Act]) -> None:
        """Let them say it, all at one moment if there are several."""
        now = looked(self.ledger, self.summary_id)
        results = together(*[lambda act=act: self.say(act, self.before if act.stale else now) for act in acts])
        for act, result in zip(acts, results, strict=True):
            if not isinstance(result, BaseException):
                self.before = now
                if act.said.text is not None:
                    self.taken.append((self.summary_id, act.said.text, self.people[act.who].name))
            elif not isinstance(result, Conflict | InvalidRequest):
                raise result

    def say(self, act: Act, seen: Seen) -> UUID:
        return review_summary(self.ledger, self.summary_id, act.said, self.people[act.who], seen)


def stands(reviews: Sequence[Review]) -> tuple[str, str | None]:
    """How a summary stands, worked out anew: an act that was undone goes, and so does what undid it."""
    acts: list[Review] = []
    for review in reviews:
        acts = acts[:-1] if review.action == "undone" else [*acts, review]
    return (acts[-1].action, acts[-1].text) if acts else ("draft", None)


def review_and_look(ledger: Ledger, steps: list[list[Act] | None]) -> None:
    _, study_id = whole_study(ledger)
    summary_id = one(ledger, "SELECT id FROM summaries WHERE study_id = :id", id=study_id)
    people = [signer(ledger, f"Dr. {letter} of {study_id}") for letter in "ABC"]
    ward = Ward(ledger, people, study_id, summary_id, looked(ledger, summary_id))
    for step in steps:
        ward.newer_draft() if step is None else ward.act(step)
    reviews = read.study(ledger, study_id).reviews
    kept = [(review.summary_id, review.text, review.reviewer) for review in reviews if review.action == "edited"]
    assert sorted(map(str, kept)) == sorted(map(str, ward.taken))
    for row in rows(ledger, "SELECT id, review_state, edited_summary FROM summaries WHERE study_id = :id", id=study_id):
        mine = [review for review in reviews if review.summary_id == row["id"]]
        assert (row["review_state"], row["edited_summary"]) == stands(mine)
    check_labels(ledger)


@pytest.mark.usefixtures("sound")
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_no_sequence_of_reviews_by_three_people_loses_a_text(ledger: Ledger, steps: list[list[Act] | None]) -> None:
    review_and_look(ledger, steps)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("sound")
@settings(max_examples=400, derandomize=False, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_neither_does_any_of_very_many(ledger: Ledger, steps: list[list[Act] | None]) -> None:
    review_and_look(ledger, steps)


def test_a_review_and_a_newer_draft_at_once_wait_for_each_other_and_not_for_ever(ledger: Ledger) -> None:
    """A worker holds the study while it ends the draft that is being signed."""
    _, study_id = whole_study(ledger)
    summary_id = one(ledger, "SELECT id FROM summaries")
    with ledger.work() as worker:
        worker.row("SELECT id FROM studies WHERE id = :id FOR UPDATE", {"id": study_id})
        signed = until_it_waits(ledger, lambda: sign(ledger, summary_id, ReviewState.EDITED, "Effusion."))
        worker.run("UPDATE summaries SET superseded_at = clock_timestamp() WHERE id = :id", {"id": summary_id})
    signed()
    kept = rows(ledger, "SELECT edited_summary, asserted, superseded_at IS NULL AS current FROM summaries")
    assert kept == [{"edited_summary": "Effusion.", "asserted": ["effusion"], "current": False}]
