"""Studies of every kind in a list, put into the tables at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.transaction import Ledger

DAY = datetime(2026, 3, 1, tzinfo=UTC)
FINDINGS = ("effusion", "nodule", "pneumothorax")
WORDS = ("small", "left", "effusion", "normal", "low-lying", "3.5", "ödem", "don't")

_STUDY = """
    INSERT INTO studies (id, lane_rank, state, revision, chosen_image, view, flags, received_at)
    VALUES (:id, :rank, :state, 1, :image, :view, CAST(:flags AS text[]), :at)
"""
_IMAGE = """
    INSERT INTO images (id, study_id, state, view, modality, acquired_on, preview_key)
    VALUES (:image, :id, 'accepted', :view, 'DX', :day, 'preview/1')
"""
_SUMMARY = """
    INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                           provenance, tokens, batch_size, lane_rank, review_state, reviewed_by, reviewed_at, flags,
                           asserted, uncertain, summarised_at, edited_summary)
    VALUES (:summary, :id, :image, 1, gen_random_uuid(), 1, :bundle, 'f', :text, '{}', 9, 1, :rank, :review, :reviewer,
            :signed, CAST(:text_flags AS text[]), CAST(:asserted AS text[]), CAST(:uncertain AS text[]), :drafted,
            :edited)
"""
_ASSIGNED = "INSERT INTO assignments (study_id, name, assigned_by) VALUES (:id, :assigned, 'Dr. L')"


@dataclass(frozen=True)
class Made:
    """A study as it was put there; what a summary has is None without one."""

    id: UUID
    image: UUID
    summary: UUID | None
    rank: int
    state: str
    view: str | None
    flags: Sequence[str]
    text_flags: Sequence[str]
    at: datetime
    day: date | None
    drafted: datetime | None
    review: str | None
    reviewer: str | None
    signed: datetime | None
    bundle: str
    text: str
    edited: str | None
    asserted: Sequence[str]
    uncertain: Sequence[str]
    assigned: str | None

    @property
    def words(self) -> list[str]:
        """Of the text as it stands."""
        return (self.edited or self.text).split()


def made(random: Random) -> Made:
    """A study by chance. Moments and days come several times: then the id decides."""
    at = DAY + timedelta(hours=random.randrange(40))
    state = random.choice(["summarised"] * 8 + ["rejected", "dead"])
    review = random.choice(["draft", "draft", "accepted", "edited", "rejected"]) if state == "summarised" else None
    signed = review not in (None, "draft")
    return Made(
        id=new_id(),
        image=new_id(),
        summary=new_id() if review else None,
        rank=random.randrange(3),
        state=state,
        view=random.choice(["PA", "AP", "LL", None]),
        flags=random.choice([[], ["synthetic"], ["chest_uncertain", "synthetic"]]),
        text_flags=random.choice([[], ["consistency"]]) if review else [],
        at=at,
        day=random.choice([None, date(2026, 1, 1), date(2026, 2, random.randrange(1, 5))]),
        drafted=at + timedelta(hours=random.randrange(3)) if review else None,
        review=review,
        reviewer=random.choice(["Dr. A", "Dr. B"]) if signed else None,
        signed=DAY + timedelta(days=random.randrange(9)) if signed else None,
        bundle=random.choice(["one", "two"]),
        text=" ".join(random.sample(WORDS, 3)),
        edited=" ".join(random.sample(WORDS, 2)) if review == "edited" else None,
        asserted=random.sample(FINDINGS, random.randrange(3)),
        uncertain=random.sample(FINDINGS, random.randrange(2)),
        assigned=random.choice([None, None, "Dr. A", "Dr. B"]),
    )


def put_all(ledger: Ledger, studies: Sequence[Made]) -> None:
    """Write them down."""
    with ledger.work() as work:
        for one in studies:
            work.run(_STUDY, vars(one))
            work.run(_IMAGE, vars(one))
            if one.summary is not None:
                work.run(_SUMMARY, vars(one))
            if one.assigned is not None:
                work.run(_ASSIGNED, vars(one))
