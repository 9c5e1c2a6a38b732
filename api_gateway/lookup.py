"""Find studies by a number of the hospital. The number travels in the body, becomes a pseudonym, and is forgotten."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter

from api_gateway.auth import TextReader, UsesServices
from api_gateway.rate_limits import spends
from api_gateway.schemas import Answer, Request
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.studies.read import lookup, rejections
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.states import ReasonCode

router = APIRouter(tags=["lookup"])

Kind = Literal["study", "patient", "accession"]


class Lookup(Request):
    """Exactly one of the three numbers. ``issuer`` goes with ``accession`` or ``patient`` where the images name one."""

    accession: str | None = None
    patient: str | None = None
    study_uid: str | None = None
    issuer: str | None = None


class LookupAnswer(Answer):
    """The studies, newest first; behind them those of films that were rejected while they were read.

    ``rejected`` says of every rejected study why it has no draft.
    """

    studies: list[UUID]
    rejected: dict[UUID, ReasonCode]


@router.post("/v1/lookup", dependencies=[spends("lookup")])
def post_lookup(body: Lookup, services: UsesServices, _: TextReader) -> LookupAnswer:
    """Find studies by accession number, patient id or StudyInstanceUID."""
    # While one pseudonymisation key replaces another, a study may have a pseudonym of either.
    asked = [_pseudonym(body, one) for one in services.pseudonymiser.all]
    found = [study for kind, pseudonym in asked for study in lookup(services.ledger, kind, pseudonym)]
    studies = list(dict.fromkeys(found))
    rejected = rejections(services.ledger, studies)
    return LookupAnswer(studies=studies, rejected={one: ReasonCode(why) for one, why in rejected.items()})


def _pseudonym(body: Lookup, pseudonymiser: Pseudonymiser) -> tuple[Kind, str]:
    if sum(value is not None for value in (body.accession, body.patient, body.study_uid)) != 1:
        raise InvalidRequest("give one of accession, patient and study_uid")
    kind: Kind
    pseudonym: str | None
    if body.study_uid is not None:
        kind, pseudonym = "study", pseudonymiser.study(body.study_uid)
    elif body.patient is not None:
        kind, pseudonym = "patient", pseudonymiser.patient(body.patient, body.issuer)
    else:
        kind, pseudonym = "accession", pseudonymiser.accession(body.accession, body.issuer)
    if pseudonym is None:
        raise InvalidRequest("the number is blank")
    return kind, pseudonym
