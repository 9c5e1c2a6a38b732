"""Is the study whole, and which of its images is summarised? The frontal one, and of several the best."""

from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.ledger.fallout import close_if_nothing_is_left, revision_of
from xraygpt_core.ledger.fence import Claim, fenced
from xraygpt_core.ledger.jobs import LANES, add_job
from xraygpt_core.ledger.serving import served_in
from xraygpt_core.ledger.timeline import note
from xraygpt_core.states import Flag, JobKind, ReasonCode, StudyState

# Preferred first. A view nobody named may be frontal; a lateral one is not what the model was trained on.
_VIEW_ORDER = {"PA": 0, "AP": 1, None: 2}

_CANDIDATES = """
    SELECT id, view, flags, rows * columns AS area FROM images
    WHERE study_id = :id AND state = 'accepted'
      AND NOT EXISTS (SELECT FROM images o WHERE o.id = images.duplicate_of AND o.state = 'accepted')
    ORDER BY id
"""

_GROW = """
    UPDATE studies SET revision = revision + 1, state = 'waiting', reason_code = NULL, finished_at = NULL
    WHERE id = :id AND (state <> 'cancelled' OR reason_code = 'replaced')
    RETURNING revision, lane_rank, expected_images,
              (SELECT count(*) FROM images WHERE study_id = :id AND state = 'accepted' AND duplicate_of IS NULL) AS read
"""

_CURRENT = "SELECT id, image_id, bundle FROM summaries WHERE study_id = :id AND superseded_at IS NULL"

_CHOOSE = """
    UPDATE studies SET chosen_image = :image, view = :view, flags = :flags, state = :state, reason_code = :reason,
           finished_at = CASE WHEN :terminal THEN clock_timestamp() END
    WHERE id = :id
"""


def reconsider(ledger: Ledger, work: Work, study_id: UUID, *, quiet: bool) -> None:
    """An image came, went or was replaced: the study has a new revision, which is to be settled.

    Args:
        quiet: wait ``settle_seconds`` for the rest of the study, unless the header's count says it is complete.
            A bare picture has no rest.
    """
    study = work.row(_GROW, {"id": study_id})
    if study is None:
        return
    complete = study["expected_images"] is not None and study["read"] >= study["expected_images"]
    add_job(
        work,
        JobKind.SETTLE,
        study_id,
        f"{study_id}:{study['revision']}",
        LANES[study["lane_rank"]],
        max_attempts=ledger.settings.max_attempts,
        delay=ledger.settings.settle_seconds if quiet and not complete else None,
    )


def settle(ledger: Ledger, claim: Claim) -> None:
    """Choose the image and ask for a summary, if this is still the study's revision and something changed.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    revision = revision_of(claim.key)

    def body(work: Work) -> None:
        study = work.row("SELECT revision, state, lane_rank FROM studies WHERE id = :id", {"id": claim.subject})
        if study is None or study["revision"] != revision or study["state"] == StudyState.CANCELLED:
            return
        candidates = work.rows(_CANDIDATES, {"id": claim.subject})
        chosen = choose(candidates)
        if chosen is None:
            _nothing_to_summarise(work, claim, bool(candidates))
            return
        bundle = served_in(work).name
        current = work.row(_CURRENT, {"id": claim.subject})
        same = current is not None and current["image_id"] == chosen["id"] and current["bundle"] == bundle
        _write_choice(work, claim, chosen, StudyState.SUMMARISED if same else StudyState.QUEUED)
        if not same:
            add_job(
                work,
                JobKind.SUMMARISE,
                claim.subject,
                f"{claim.subject}:{revision}:{bundle}",
                LANES[study["lane_rank"]],
                max_attempts=ledger.settings.max_attempts,
            )

    fenced(ledger, claim, body, study_id=claim.subject)


def choose(candidates: Any) -> RowMapping | None:
    """The image to summarise: PA before AP before an unnamed view, an original before a copy, the largest, the first.

    Args:
        candidates: rows with ``id``, ``view``, ``flags``, ``area``, oldest first.

    Returns:
        None if there is no frontal view among them.
    """
    frontal = [image for image in candidates if image["view"] in _VIEW_ORDER]
    if not frontal:
        return None

    def worth(image: RowMapping) -> tuple[int, bool, int]:
        return (_VIEW_ORDER[image["view"]], Flag.SECONDARY_CAPTURE in image["flags"], -(image["area"] or 0))

    best: RowMapping = min(frontal, key=worth)
    return best


def _write_choice(work: Work, claim: Claim, chosen: RowMapping, state: StudyState) -> None:
    work.run(
        _CHOOSE,
        {
            "id": claim.subject,
            "image": chosen["id"],
            "view": chosen["view"],
            "flags": chosen["flags"],
            "state": state,
            "reason": None,
            "terminal": state is StudyState.SUMMARISED,
        },
    )
    note(
        work,
        claim.subject,
        "settled",
        who="settle",
        image_id=chosen["id"],
        claim=claim,
        detail={"view": chosen["view"]},
    )


def _nothing_to_summarise(work: Work, claim: Claim, lateral_only: bool) -> None:
    """No image of the study can be summarised; a summary of an image that was replaced is no longer current."""
    work.run(
        "UPDATE summaries SET superseded_at = clock_timestamp() WHERE study_id = :id AND superseded_at IS NULL",
        {"id": claim.subject},
    )
    values: dict[str, Any] = {"id": claim.subject, "image": None, "flags": [], "terminal": True, "reason": None}
    if lateral_only:
        rejected = {"view": "LATERAL", "state": StudyState.REJECTED, "reason": ReasonCode.NO_FRONTAL_VIEW}
        work.run(_CHOOSE, values | rejected)
        note(
            work, claim.subject, "study rejected", who="settle", claim=claim, detail={"reason_code": "no_frontal_view"}
        )
    else:
        work.run(_CHOOSE, values | {"view": None, "state": StudyState.CANCELLED, "reason": ReasonCode.REPLACED})
        close_if_nothing_is_left(work, claim.subject)
