"""What a GPU worker asks and answers: which image to look at, and the text it wrote."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.ledger.fallout import revision_of
from xraygpt_core.ledger.fence import Claim, fenced
from xraygpt_core.ledger.timeline import note
from xraygpt_core.states import Flag, JobState


@dataclass(frozen=True)
class SummariseInput:
    """The normalised image to summarise, and the revision of the study it was chosen for."""

    study_id: UUID
    image_id: UUID
    revision: int
    normalised_key: str
    normalised_sha256: str


@dataclass(frozen=True)
class NewSummary:
    """A text with everything needed to make it again.

    Attributes:
        provenance: template, prompt, seed, decoding settings, software versions, image sha256.
        batch_size: how many requests shared the step that finished it.
    """

    text: str
    findings: str | None
    impression: str | None
    bundle: str
    bundle_sha256: str
    provenance: dict[str, Any]
    tokens: int
    batch_size: int


_WAITS = ("waited_seconds", "generate_seconds")  # of the provenance, for the timeline

_INPUT = """
    SELECT s.id AS study_id, i.id AS image_id, s.revision, i.normalised_key, i.normalised_sha256
    FROM studies s JOIN images i ON i.id = s.chosen_image
    WHERE s.id = :id AND s.revision = :revision AND s.state NOT IN ('cancelled', 'rejected') AND i.state = 'accepted'
"""

_INSERT = """
    INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                           findings, impression, provenance, tokens, batch_size, flags, superseded_at)
    VALUES (:id, :study_id, :image_id, :revision, :job_id, :epoch, :bundle, :bundle_sha256, :text,
            :findings, :impression, CAST(:provenance AS jsonb), :tokens, :batch_size, :flags,
            CASE WHEN :superseded THEN clock_timestamp() END)
"""

_SUPERSEDE = """
    UPDATE summaries SET superseded_at = clock_timestamp() WHERE study_id = :id AND superseded_at IS NULL
    RETURNING review_state <> 'draft' OR CAST(:flag AS text) = ANY(flags) AS reviewed
"""


def summarise_input(ledger: Ledger, claim: Claim) -> SummariseInput | None:
    """What this claim is to summarise. None: the study has moved on; the job was closed, there is nothing to do.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    with ledger.work() as work:
        row = work.row(_INPUT, {"id": claim.subject, "revision": revision_of(claim.key)})
    if row is not None:
        return SummariseInput(**row)
    fenced(ledger, claim, lambda _: None, finish=JobState.CANCELLED)
    return None


def complete_summary(ledger: Ledger, claim: Claim, given: SummariseInput, summary: NewSummary) -> UUID:
    """Keep a summary: as the study's current one if the study is still what it was, as superseded otherwise.

    Returns:
        The summary's id.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    summary_id = new_id()

    def body(work: Work) -> None:
        study = work.row("SELECT revision, flags FROM studies WHERE id = :id", {"id": given.study_id})
        current = study is not None and study["revision"] == given.revision
        flags: list[str] = []
        if current:
            former = work.row(_SUPERSEDE, {"id": given.study_id, "flag": Flag.SUPERSEDES_REVIEWED})
            if former is not None and former["reviewed"]:
                flags.append(Flag.SUPERSEDES_REVIEWED)
        values = {**summary.__dict__, "provenance": json.dumps(summary.provenance), "flags": flags}
        where = {"id": summary_id, "study_id": given.study_id, "image_id": given.image_id, "revision": given.revision}
        work.run(_INSERT, values | where | {"job_id": claim.job_id, "epoch": claim.epoch, "superseded": not current})
        if current:
            work.run(
                "UPDATE studies SET state = 'summarised', reason_code = NULL, finished_at = clock_timestamp() "
                "WHERE id = :id",
                {"id": given.study_id},
            )
        waits = {name: summary.provenance[name] for name in _WAITS if name in summary.provenance}
        detail = {"bundle": summary.bundle, "tokens": summary.tokens, "batch_size": summary.batch_size} | waits
        what = "summarised" if current else "summarised, superseded meanwhile"
        note(work, given.study_id, what, who="gpu", image_id=given.image_id, claim=claim, detail=detail)

    fenced(ledger, claim, body, study_id=given.study_id)
    return summary_id
