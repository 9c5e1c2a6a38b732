"""A clinician reviews a summary: accepts, corrects or rejects it, or takes that back. Each review is a row that stays.

How the summary stands follows from its rows (:mod:`.review_history`); ``summaries`` repeats it for the lists.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from xraygpt_core.errors import Conflict, Forbidden, InvalidRequest
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.access.api_keys import ApiKey, readable
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.card.labels import Labels, Source, follow_standing_text, store_labels
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.studies.review_history import Review, Standing, reviews_of_summary, standing
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.report.text_labels import labels_of
from xraygpt_core.states import ReviewAction, ReviewState, Role


@dataclass(frozen=True)
class Seen:
    """How the summary stood when its reader looked at it, and the film that was painted beside it.

    Attributes:
        image_sha256: of the normalised image as the reader's screen got it; lower-case hex.
        painted_at: when it was on the screen, by the reader's clock.
        shown_ms: for how many milliseconds before the signature.
    """

    review_state: ReviewState
    reviewed_at: datetime | None
    superseded_at: datetime | None
    image_sha256: str | None = None
    painted_at: datetime | None = None
    shown_ms: int | None = None


@dataclass(frozen=True)
class Signer:
    """The key that signs, and the person it speaks for if that is another than the key's own name."""

    key: ApiKey
    speaks_for: str | None = None

    @property
    def name(self) -> str:
        """As it is signed."""
        return self.key.name if self.speaks_for is None else self.speaks_for

    def made(self, review: Review, keys: Collection[UUID | None]) -> bool:
        """Did this signer make the review: the same person, by one of these keys?"""
        return review.key_id in keys and review.reviewer == self.name


@dataclass(frozen=True)
class Verdict:
    """A clinician's word on a summary.

    Attributes:
        state: ``draft`` takes back everything that stands.
        text: the corrected text; given if and only if the state is ``edited``.
        reason: why; it must be given where this takes back or overturns what another person signed.
        undo: with ``draft``: take back the last act alone, so that what stood before it stands again.
    """

    state: ReviewState
    text: str | None = None
    reason: str | None = None
    undo: bool = False

    @property
    def action(self) -> ReviewAction:
        """How it is stored."""
        return ReviewAction.UNDONE if self.undo else ReviewAction(self.state)


# The study before the summary, as a worker does that ends a draft. PostgreSQL looks at a row's foreign keys when a
# transaction changes it a second time: it would wait for the study that the worker holds, who waits for the summary.
_LOCK_STUDY = """
    SELECT id FROM studies WHERE id = (SELECT study_id FROM summaries WHERE id = :id) FOR KEY SHARE
"""
_NOW = """
    SELECT m.study_id, m.review_state, m.reviewed_at, m.superseded_at, i.normalised_sha256
    FROM summaries m LEFT JOIN images i ON i.id = m.image_id WHERE m.id = :id FOR UPDATE OF m
"""

# The clock may be set back, but no two acts on a summary bear one time: ``seen`` tells them apart by it.
_ADD = """
    INSERT INTO reviews (id, summary_id, position, action, text, reason, reviewer, key_id, key_name, key_kind, seen, at)
    SELECT :id, :summary_id, count(*) + 1, :action, :text, :reason, :reviewer, :key_id, :key_name, :key_kind,
           CAST(:seen AS jsonb), GREATEST(clock_timestamp(), max(at) + interval '1 microsecond')
    FROM reviews WHERE summary_id = :summary_id
"""

_OWN_KEYS = """
    WITH RECURSIVE own AS (
        SELECT id FROM api_keys WHERE id = :id UNION SELECT k.id FROM api_keys k JOIN own ON k.replaced_by = own.id)
    SELECT id FROM own
"""

_STORE_STANDING = """
    UPDATE summaries SET review_state = :state, reviewed_by = :by, reviewed_at = :at, edited_summary = :text
    WHERE id = :id
"""


def review_summary(
    ledger: Ledger,
    summary_id: UUID,
    verdict: Verdict,
    signer: Signer,
    seen: Seen | None = None,
) -> UUID:
    """Keep a clinician's verdict on a summary, beside those before it. The model's own text stays as it was.

    To accept or reject a corrected summary is to accept or reject the correction.

    Args:
        seen: change it only if it still stands like this; a person must send it. None changes it however it stands.

    Returns:
        The id of the row.

    Raises:
        InvalidRequest: the parts of the verdict do not fit together, or the signer may not give it, or it overturns
            what another person signed without a reason.
        Forbidden: it takes back or rejects what another person signed, and the signer is no lead.
        NotFound: no such summary.
        Conflict: it was reviewed meanwhile, a newer summary took its place, another film was on the screen, or there
            is nothing to take back. Nothing was written.
    """
    _check(verdict, signer, seen)
    labels = labels_of(verdict.text or "")  # before the summary is locked
    review = partial(_review, summary_id=summary_id, verdict=verdict, signer=signer, seen=seen, labels=labels)

    return repeating(ledger, review)


def _review(work: Work, summary_id: UUID, verdict: Verdict, signer: Signer, seen: Seen | None, labels: Labels) -> UUID:
    """Store the verdict with everything that follows from it. ``labels``: of the verdict's own text."""
    row, before = _locked(work, summary_id, seen)
    keys = _own_keys(work, signer)
    _may_take_back(verdict, signer, before, keys)
    _may_overturn(verdict, signer, before, keys)
    text = before.text if verdict.state in (ReviewState.ACCEPTED, ReviewState.REJECTED) else verdict.text
    review_id = _add(work, summary_id, verdict, signer, seen, text)
    if text is not None:
        store_labels(work, Source.REVIEW, {review_id: labels if text == verdict.text else labels_of(text)})
    _update_summary(work, summary_id)
    _note(work, row["study_id"], summary_id, review_id, verdict, signer)
    return review_id


def _locked(work: Work, summary_id: UUID, seen: Seen | None) -> tuple[dict[str, Any], Standing]:
    """The summary, locked behind its study, if it is as it was seen; and what stands of it."""
    work.row(_LOCK_STUDY, {"id": summary_id})
    row = dict(work.found(_NOW, {"id": summary_id}, f"there is no summary {summary_id}"))
    _compare(seen, row)
    return row, standing(reviews_of_summary(work, summary_id))


def _update_summary(work: Work, summary_id: UUID) -> None:
    """Write into the summary how it stands after its reviews."""
    now = standing(reviews_of_summary(work, summary_id))
    by, at = (now.by.reviewer, now.by.at) if now.by else (None, None)
    work.run(_STORE_STANDING, {"id": summary_id, "state": now.state, "text": now.text, "by": by, "at": at})
    follow_standing_text(work, [summary_id])


def _note(work: Work, study_id: UUID, summary_id: UUID, review_id: UUID, verdict: Verdict, signer: Signer) -> None:
    """Note the review on the timeline and in the audit."""
    what, key, kind = f"summary {verdict.action}", signer.key.key_id, signer.key.kind
    # A key's name is no patient's. A person named by a program may be a patient, so that name stays in the review.
    detail = {"review": str(review_id), "key": key and str(key), "kind": kind}
    note(work, study_id, what, who=signer.key.name, detail=detail)
    about = {"review": str(review_id), "kind": kind, "speaks_for": signer.speaks_for is not None}
    record(work, what, study=study_id, subject=summary_id, detail=about)


def _check(verdict: Verdict, signer: Signer, seen: Seen | None) -> None:
    if (verdict.state is ReviewState.EDITED) != bool(verdict.text and verdict.text.strip()):
        raise InvalidRequest("give the corrected text with the state 'edited', and only then")
    if verdict.undo and verdict.state is not ReviewState.DRAFT:
        raise InvalidRequest("'undo' goes with the state 'draft': it takes the last act back")
    if "\0" in (verdict.text or "") + (verdict.reason or ""):
        raise InvalidRequest("a text holds no NUL")
    if verdict.reason is not None and not verdict.reason.strip():
        raise InvalidRequest("a reason says something, or is left out")
    if signer.speaks_for is not None:
        if signer.key.is_person:
            raise InvalidRequest("a person's key signs in its own name: leave 'reviewer' out")
        readable(signer.speaks_for)
    if signer.key.is_person and seen is None:
        raise InvalidRequest(
            "a person signs what was seen: send review_state, reviewed_at and superseded_at as you read them in 'seen'"
        )


def _compare(seen: Seen | None, row: dict[str, Any]) -> None:
    """Is what was seen what is there? The messages name no one: the caller may log them."""
    if seen is None:
        return
    if seen.superseded_at != row["superseded_at"]:
        raise Conflict("a newer summary has taken the place of this one: read that before you sign")
    if (seen.review_state, seen.reviewed_at) != (row["review_state"], row["reviewed_at"]):
        raise Conflict(
            f"the summary was reviewed meanwhile, it is {row['review_state']!r} now: read it again before you sign"
        )
    if seen.image_sha256 and row["normalised_sha256"] and seen.image_sha256 != row["normalised_sha256"]:
        raise Conflict("the film on the screen is not the one this summary is about: open it again before you sign")


def _own_keys(work: Work, signer: Signer) -> set[UUID | None]:
    """The signer's key and those it came to replace; for a session that no key opened, none."""
    return {row["id"] for row in work.rows(_OWN_KEYS, {"id": signer.key.key_id})} or {None}


def _may_take_back(verdict: Verdict, signer: Signer, before: Standing, keys: Collection[UUID | None]) -> None:
    if verdict.state is not ReviewState.DRAFT:
        return
    if before.last is None or not (verdict.undo or before.signed):
        raise Conflict("there is nothing to take back: it is a draft")
    if verdict.undo and not signer.made(before.last, keys):
        raise InvalidRequest(
            "an act is undone by the person who did it; to take another person's review back, say why ('reason')"
        )
    if verdict.undo or all(signer.made(one, keys) for one in before.signed):
        return
    if not signer.key.has(Role.LEAD):
        raise Forbidden("another person signed this: to take their review back needs the role lead")
    if verdict.reason is None:
        raise InvalidRequest("another person signed this: to take their review back, say why ('reason')")


def _may_overturn(verdict: Verdict, signer: Signer, before: Standing, keys: Collection[UUID | None]) -> None:
    """To sign the same as well is free; to reject what another signed is to take it back; all else takes a reason."""
    top = before.signed[-1] if before.signed else None
    if verdict.state is ReviewState.DRAFT or top is None or signer.made(top, keys):
        return
    rejected = top.action is ReviewAction.REJECTED
    if verdict.state is (ReviewState.REJECTED if rejected else ReviewState.ACCEPTED):
        return
    if verdict.state is ReviewState.REJECTED and not signer.key.has(Role.LEAD):
        raise Forbidden("another person signed this: to reject it needs the role lead; a reader may correct it")
    if verdict.reason is None:
        raise InvalidRequest("another person reviewed this otherwise: say why ('reason')")


def _add(work: Work, summary_id: UUID, verdict: Verdict, signer: Signer, seen: Seen | None, text: str | None) -> UUID:
    review_id = new_id()
    work.run(
        _ADD,
        {
            "id": review_id,
            "summary_id": summary_id,
            "action": verdict.action,
            "text": text,
            "reason": verdict.reason,
            "reviewer": signer.name,
            "key_id": signer.key.key_id,
            "key_name": signer.key.name,
            "key_kind": signer.key.kind,
            "seen": None if seen is None else json.dumps(_shown(seen)),
        },
    )
    return review_id


def _shown(seen: Seen) -> dict[str, Any]:
    """What was seen, as it is stored: absent values are left out, but for the three on how the summary stood."""
    found = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(seen).items()}
    always = ("review_state", "reviewed_at", "superseded_at")
    return {name: value for name, value in found.items() if name in always or value is not None}
