"""The audit: one row per act of a person or a key, written in the transaction of the act itself.

A read's row is committed before what was read leaves the process. Rows are sealed into a chain of hashes within a
second (:mod:`xraygpt_core.ledger.audit.seal`) and are never changed or removed. docs/audit.md lists every act.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.transaction import Ledger, Values, Work

DONE, REFUSED, FAILED = "done", "refused", "failed"

# In one statement: a row that did not wait for its seal would never get one.
_ACT = """
    act AS (
        INSERT INTO audit (what, actor, key_id, session_id, address, study_id, subject, studies, outcome, detail)
        SELECT :act_what, :act_actor, CAST(:act_key AS uuid), CAST(:act_session AS uuid), CAST(:act_address AS text),
               CAST(:act_study AS uuid), CAST(:act_subject AS uuid), CAST(:act_studies AS uuid[]),
               :act_outcome, CAST(:act_detail AS jsonb)
        RETURNING id
    ), waiting AS (
        INSERT INTO audit_open (id) SELECT id FROM act
    )
"""
_RECORD = f"WITH {_ACT} SELECT id FROM act"


class About(TypedDict, total=False):
    """What an act is about.

    Attributes:
        study: the study. subject: what else (a summary, key, run …).
        studies: the studies, where they may be several.
        detail: opaque ids, numbers and our own words; never a name, number or text of a patient.
        outcome: ``done``, ``refused`` (the caller may not, or the subject is in no state for it) or ``failed``.
    """

    study: UUID | None
    subject: UUID | None
    studies: Sequence[UUID] | None
    detail: Mapping[str, Any] | None
    outcome: str


def record(work: Work, what: str, **about: Unpack[About]) -> None:
    """Keep an act of ``work.actor``; what the system does by itself (no actor) stands on the timeline instead.

    Args:
        what: one of our own words, such as ``study read``.
    """
    if work.actor is not None:
        work.row(_RECORD, _values(work.actor, what, about))


def recorded(work: Work, sql: str, values: Values, what: str, **about: Unpack[About]) -> Sequence[RowMapping]:
    """The rows of a statement that goes to the server together with its act, in one round trip.

    For short statements: the act makes the planner's work on a long one longer.

    Args:
        sql: without a WITH of its own.
    """
    if work.actor is None:
        return work.rows(sql, values)
    return work.rows(f"WITH {_ACT} {sql}", {**values, **_values(work.actor, what, about)})


def record_alone(ledger: Ledger, what: str, **about: Unpack[About]) -> None:
    """Keep an act that has no transaction of its own. Call it before anything leaves the process."""
    if ledger.actor is None:
        return
    with ledger.work() as work:
        record(work, what, **about)


def _values(actor: Actor, what: str, about: About) -> dict[str, Any]:
    studies, detail = about.get("studies"), about.get("detail")
    return {
        "act_what": what,
        "act_actor": actor.name,
        "act_key": actor.key_id,
        "act_session": actor.session_id,
        "act_address": actor.address,
        "act_study": about.get("study"),
        "act_subject": about.get("subject"),
        "act_studies": None if studies is None else "{" + ",".join(map(str, studies)) + "}",
        "act_outcome": about.get("outcome", DONE),
        "act_detail": json.dumps(detail, default=str) if detail else None,
    }
