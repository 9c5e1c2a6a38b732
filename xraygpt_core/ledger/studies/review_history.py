"""The reviews of summaries, act by act, and what of them stands. Nothing here changes anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import KeyKind, ReviewAction, ReviewState


@dataclass(frozen=True)
class Review:
    """One act of a person, as it was kept when it was done.

    Attributes:
        text: the correction the act stands for; None where that is the model's own text, and where it takes back.
        draft: the model's own text, to hold ``text`` against.
        reviewer: the name as signed: the key's, or that of the person a program speaks for.
        key_id: None for what was reviewed before keys were kept with it, as are ``key_name`` and ``key_kind``.
        seen: what was on the screen.
    """

    review_id: UUID
    summary_id: UUID
    position: int
    action: ReviewAction
    text: str | None
    draft: str
    reason: str | None
    reviewer: str
    key_id: UUID | None
    key_name: str | None
    key_kind: KeyKind | None
    seen: dict[str, Any] | None
    at: datetime


@dataclass(frozen=True)
class Standing:
    """What follows from the acts on a summary so far.

    Attributes:
        signed: the signatures that stand, the last of them on top; none for a draft.
        last: the last act that was not undone: the one that may be.
    """

    signed: tuple[Review, ...] = ()
    last: Review | None = None

    @property
    def state(self) -> ReviewState:
        """How the summary stands."""
        return ReviewState(self.signed[-1].action) if self.signed else ReviewState.DRAFT

    @property
    def text(self) -> str | None:
        """The correction that is read in place of the model's text."""
        return self.signed[-1].text if self.signed else None

    @property
    def by(self) -> Review | None:
        """The act that made it so: a signature, or the one that took everything back. None: there was no act."""
        return self.signed[-1] if self.signed else self.last


_REVIEWS = """
    SELECT r.id AS review_id, r.summary_id, r.position, r.action, r.text, m.summary AS draft, r.reason, r.reviewer,
           r.key_id, r.key_name, r.key_kind, r.seen, r.at
    FROM summaries m JOIN reviews r ON r.summary_id = m.id
"""


def reviews_of_summary(work: Work, summary_id: UUID) -> list[Review]:
    """Every act on one summary, the first one first."""
    return _read(work, f"{_REVIEWS} WHERE m.id = :id ORDER BY r.position", summary_id)


def reviews_of_study(work: Work, study_id: UUID) -> list[Review]:
    """Every act on any summary of a study, superseded ones included: summary by summary, the oldest first."""
    return _read(work, f"{_REVIEWS} WHERE m.study_id = :id ORDER BY m.summarised_at, m.id, r.position", study_id)


def standing(reviews: Sequence[Review]) -> Standing:
    """What stands after these acts on one summary: a signature lies upon those before it, ``draft`` clears them all,
    ``undone`` brings back what stood before the last act that was not undone itself.
    """
    now = Standing()
    before: list[Standing] = []
    for review in reviews:
        match review.action:
            case ReviewAction.UNDONE:
                now = before.pop()
            case ReviewAction.DRAFT:
                before.append(now)
                now = Standing((), review)
            case _:
                before.append(now)
                now = Standing((*now.signed, review), review)
    return now


def _read(work: Work, sql: str, subject: UUID) -> list[Review]:
    return [_review(dict(row)) for row in work.rows(sql, {"id": subject})]


def _review(row: dict[str, Any]) -> Review:
    kind = row.pop("key_kind")
    return Review(**row | {"action": ReviewAction(row["action"]), "key_kind": KeyKind(kind) if kind else None})
