"""Settle: choose the image of a study that is summarised, and queue its summary.

A settle job is about one revision of its study (:mod:`.revise`). If the study has moved on, the job does nothing.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import insert_jobs
from xraygpt_core.ledger.jobs.fence import Claim, fenced_many
from xraygpt_core.ledger.studies.choose_image import choose
from xraygpt_core.ledger.studies.companions import companions
from xraygpt_core.ledger.studies.compared import STANDING_PRIOR, reconsider
from xraygpt_core.ledger.studies.current_draft import IS_WRITTEN
from xraygpt_core.ledger.studies.no_summary import settle_without_summary
from xraygpt_core.ledger.studies.request_words import WORDS_REVISION
from xraygpt_core.ledger.training.serving import served_with_images
from xraygpt_core.ledger.transaction import Ledger, Values, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import ImageRole, JobKind, Lane

_STUDIES = f"""
    SELECT s.id, s.revision, s.lane_rank, s.chosen_image, s.chosen_lateral, m.image_id AS summarised_image, m.bundle,
           m.lateral_image AS summarised_lateral, m.prior_image IS NULL OR {{stands}} IS NOT NULL AS stands,
           {{companions}}, {{is_written}} AS written, m.revision AS summarised_revision,
           {WORDS_REVISION.format(study="s.id", image="COALESCE(m.image_id, s.chosen_image)")} AS words_revision
    FROM studies s LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
    WHERE s.id = ANY(CAST(:ids AS uuid[])) AND s.state <> 'cancelled' ORDER BY s.id
"""

_CANDIDATES = """
    SELECT study_id, id, view, origin, flags, rows * columns AS area, pixel_sha256 FROM images
    WHERE study_id = ANY(CAST(:ids AS uuid[])) AND state = 'accepted'
      AND NOT EXISTS (SELECT FROM images o WHERE o.id = images.duplicate_of AND o.state = 'accepted')
    ORDER BY study_id, id
"""

_SUMMARISE = insert_jobs(
    "chosen WHERE NOT summarised",
    "'summarise'",
    job="summarise_id",
    subject="study_id",
    revision="revision",
    bundle="bundle",
    not_before="clock_timestamp() + make_interval(secs => pause)",
    returning="lane_rank, not_before IS NULL AS ready",
)
_WRITE = f"""
    WITH n AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
            study_id uuid, image_id uuid, lateral_id uuid, prior_id uuid, view text, flags jsonb,
            summarised boolean, summarise_id uuid, revision int, bundle text, job_id uuid, attempt int, epoch bigint,
            pause float)
    ), chosen AS (
        UPDATE studies SET chosen_image = n.image_id, chosen_lateral = n.lateral_id, chosen_prior = n.prior_id,
               view = n.view, reason_code = NULL,
               flags = ARRAY(SELECT jsonb_array_elements_text(n.flags)),
               state = CASE WHEN n.summarised THEN 'summarised' ELSE 'queued' END,
               finished_at = CASE WHEN n.summarised THEN clock_timestamp() END
        FROM n WHERE studies.id = n.study_id RETURNING n.*, lane_rank, place
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
        SELECT study_id, image_id, job_id, 'settled', 'settle', attempt, epoch, jsonb_build_object('view', view) FROM n
    )
    {_SUMMARISE}
"""


def settle_many(ledger: Ledger, claims: Sequence[Claim]) -> set[UUID]:
    """Choose the image of each study and ask for a summary, if the revision still holds and something changed.

    All studies are settled in one transaction.

    Returns:
        The ids of the jobs that were finished; nothing was written for the others, whose leases were lost.
    """

    def body(work: Work, held: Collection[UUID]) -> None:
        # Of two revisions of a study only the newer one counts.
        of_study = {
            claim.subject: claim
            for claim in sorted(claims, key=lambda claim: claim.revision or 0)
            if claim.job_id in held
        }
        served, images = served_with_images(work)
        # A bundle that no GPU worker has loaded yet may look at any film.
        bundle, looks_at = served.name, frozenset(ImageRole) if images is None else images
        due = _due(work, of_study, bundle, looks_at)
        candidates = _candidates(work, [row["id"] for row in due])
        choices = []  # of the studies that have a frontal image
        for study in due:
            claim, films = of_study[study["id"]], candidates[study["id"]]
            chosen = choose(films)
            if chosen is None:
                settle_without_summary(work, claim, {film["view"] for film in films})
            else:
                summarised = _is_summarised(study, chosen, bundle, laterals=ImageRole.LATERAL in (images or ()))
                pause = ledger.settings.lease_seconds if _is_being_written(study, chosen) else None
                choices.append(_choice(claim, study, chosen, bundle, summarised=summarised) | {"pause": pause})
        if choices:
            values = {"rows": json.dumps(choices), "max_attempts": ledger.settings.max_attempts}
            _write(work, values)
        reconsider(ledger, work, _gone(due, candidates))

    return fenced_many(ledger, claims, body, study_ids=[claim.subject for claim in claims])


def _is_being_written(study: RowMapping, chosen: RowMapping) -> bool:
    """Does what a worker is writing now answer the new job, too, unless that worker is lost?"""
    before = study["chosen_image"], study["chosen_lateral"]
    # It may have begun without the words of a request.
    return bool(study["written"] and before == (chosen["id"], study["lateral_id"]) and not study["words_revision"])


def _due(work: Work, of_study: Mapping[UUID, Claim], bundle: str, looks_at: Collection[ImageRole]) -> list[RowMapping]:
    """The studies whose revisions still hold, with the films that are shown beside the chosen one."""
    stands = STANDING_PRIOR.format(study="s.id", film="m.prior_image")
    sql = _STUDIES.format(companions=companions(looks_at), is_written=IS_WRITTEN, stands=stands)
    studies = work.rows(sql, {"ids": list(of_study), "bundle": bundle})
    return [row for row in studies if row["revision"] == of_study[row["id"]].revision]


def _is_summarised(study: RowMapping, chosen: RowMapping, bundle: str, *, laterals: bool) -> bool:
    """Has the study a text of this image by this bundle, of its lateral film where the bundle looks at it, with no film
    beside it that is its patient's prior no more, and that no words came after?
    """
    same = (study["summarised_image"], study["bundle"]) == (chosen["id"], bundle) and study["stands"]
    same = same and study["words_revision"] <= study["summarised_revision"]
    return same and (not laterals or study["lateral_id"] == study["summarised_lateral"])


def _gone(due: Sequence[RowMapping], candidates: Mapping[UUID, Sequence[RowMapping]]) -> set[UUID]:
    """Films that were chosen until now, and are accepted no more: other studies may have them as their prior."""
    there = {film["id"] for films in candidates.values() for film in films}
    return {row["chosen_image"] for row in due} - there - {None}


def _write(work: Work, values: Values) -> None:
    for job in work.rows(_WRITE, values):
        if job["ready"]:
            work.rings.append(Ring(JobKind.SUMMARISE, Lane.of_rank(job["lane_rank"])))


def _candidates(work: Work, study_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[RowMapping]]:
    """The images to choose from, by study."""
    found: defaultdict[UUID, list[RowMapping]] = defaultdict(list)
    for row in work.rows(_CANDIDATES, {"ids": study_ids}):
        found[row["study_id"]].append(row)
    return found


def _choice(claim: Claim, study: RowMapping, chosen: RowMapping, bundle: str, *, summarised: bool) -> dict[str, Any]:
    return {
        "study_id": str(claim.subject),
        "image_id": str(chosen["id"]),
        **{name: study[name] and str(study[name]) for name in ("lateral_id", "prior_id")},
        "view": chosen["view"],
        "flags": chosen["flags"],
        "summarised": summarised,
        "summarise_id": str(new_id()),
        "revision": claim.revision,
        "bundle": bundle,
        "job_id": str(claim.job_id),
        "attempt": claim.attempts,
        "epoch": claim.epoch,
    }
