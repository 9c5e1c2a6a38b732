"""Films that stand beside another study as its patient's prior, until they turn out to be another patient's."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from tests.support.ledger_tools import do, film, ingest, new_summary, one, put, settle_now, start_summary
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.ledger.studies.split import Names, split_study
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.studies.summarise import SummariseInput, complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Lane

NO_NAMES = {"patient_pseudonym": None, "accession_pseudonym": None, "sop_pseudonym": None}
CURRENT = "SELECT prior_image FROM summaries WHERE study_id = :id AND superseded_at IS NULL"

Prior = tuple[Registered, UUID]


def on(day: int) -> dict[str, Any]:
    return {"facts": HeaderFacts(acquired_on=date(2021, 3, day))}


def send(ledger: Ledger, uid: str, *, lane: Lane = Lane.ROUTINE, **changes: Any) -> Prior:
    registered = put(ledger, lane=lane)
    return registered, ingest(ledger, registered, film(uid, **changes))


def seen(given: SummariseInput) -> NewSummary:
    """What a bundle writes that looks at all films it is handed."""
    films: dict[str, Any] = {f"{role}_image": found.image_id for role, found in given.further.items()}
    return replace(new_summary(), **films)


def written(ledger: Ledger, study_id: UUID) -> UUID:
    taken, given = start_summary(ledger, study_id)
    return complete_summary(ledger, taken, given, seen(given))


def shown(given: SummariseInput) -> set[UUID]:
    return {found.image_id for found in given.further.values()}


def overwritten(ledger: Ledger, prior: Registered, uid: str, **changes: Any) -> UUID:
    """The PACS sends a corrected film under the key of this one; the study it belongs to."""
    key = one(ledger, "SELECT key FROM object_keys WHERE image_id = :id", id=prior.image_id)
    return ingest(ledger, put(ledger, key, "corrected"), film(uid, **changes))


def joined(ledger: Ledger) -> tuple[UUID, UUID, UUID]:
    """A study as older versions made it of two patients' films: it is called A's. Study, A's film, B's film."""
    mine, _ = send(ledger, "old", **NO_NAMES, **on(1))
    other, study_id = send(ledger, "old", **NO_NAMES, **on(1), rows=4000)
    do(ledger, "UPDATE studies SET patient_pseudonym = 'A' WHERE id = :id", id=study_id)
    do(ledger, "UPDATE images SET names_read = false WHERE study_id = :id", id=study_id)
    settle_now(ledger, study_id)
    written(ledger, study_id)
    return study_id, mine.image_id, other.image_id


def apart(ledger: Ledger, study_id: UUID, mine: UUID, other: UUID) -> None:
    names = {mine: Names("A", None, None), other: Names("B", None, None)}
    assert split_study(ledger, study_id, names, apply=True).leave
