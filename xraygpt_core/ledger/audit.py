"""Who did what: one row per act, written in the transaction of the act itself."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.core import Work


def record(
    work: Work,
    what: str,
    *,
    study: UUID | None = None,
    subject: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Keep an act of ``work.actor``; what the system does by itself (no actor) stands on the timeline instead.

    Args:
        what: one of our own words, such as ``study read``.
        study: the study it is about. subject: what else it is about (a summary, key, run …).
        detail: opaque ids, numbers and our own words; never a name, number or text of a patient.
    """
