"""What happened to a study, step by step. Opaque ids and our own words only, never a name, key or text of a patient."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.kinds import image_sql, study_sql
from xraygpt_core.ledger.transaction import Work

_INSERT = """
    INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
    VALUES (:study_id, :image_id, :job_id, :what, :who, :attempt, :epoch, CAST(:detail AS jsonb))
"""


def job_steps(jobs: str, what: str, *, who: str, attempt: str = "c.attempts", detail: str = "NULL") -> str:
    """The statement that writes one step for each of many jobs, on the timelines of the studies they are about.

    Args:
        jobs: a relation with ``id``, ``kind``, ``subject``, ``attempts`` and ``lease_epoch``, called ``c`` in the
            expressions that follow.
        what: happened to the job; its kind is put in front.
        who: an SQL expression, as are ``attempt`` and ``detail``.
    """
    return f"""
        INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
        SELECT {study_sql("c")}, {image_sql("c")}, c.id, c.kind || ' {what}', {who}, {attempt}, c.lease_epoch, {detail}
        FROM {jobs} c
    """


def person(work: Work) -> str:
    """The name of the key that acts, as the timeline shows it; ``person`` where no key is known."""
    return "person" if work.actor is None else work.actor.name


def by_person(work: Work) -> dict[str, Any]:
    """The key, as the detail of a person's step; empty for a part of the system, whatever its name."""
    actor = work.actor
    if actor is None or (actor.key_id is None and actor.session_id is None):
        return {}
    return {"key": None if actor.key_id is None else str(actor.key_id)}


def note(
    work: Work,
    study_id: UUID,
    what: str,
    *,
    who: str = "ledger",
    image_id: UUID | None = None,
    claim: Claim | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one step of a study's story."""
    work.run(
        _INSERT,
        {
            "study_id": study_id,
            "image_id": image_id,
            "job_id": claim.job_id if claim else None,
            "what": what,
            "who": who,
            "attempt": claim.attempts if claim else None,
            "epoch": claim.epoch if claim else None,
            "detail": json.dumps(detail) if detail else None,
        },
    )
