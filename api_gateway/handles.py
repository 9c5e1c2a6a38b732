"""Handles: the last digits of an id, which people copy by eye. The answer has the ids that end so."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from api_gateway.auth import LeadAdminOrOperator, Operator, RunWatcher, TextReader, UsesLedger, needs
from api_gateway.schemas import Answer
from xraygpt_core.ledger.studies.handles import SHORTEST, Named, ending_in
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Role

router = APIRouter(prefix="/v1/handles", tags=["handles"])

Ends = Annotated[
    str, Path(pattern=f"^[0-9a-f]{{{SHORTEST},32}}$", description="the last digits of the id, without hyphens")
]
# The roles that may read, stop, exclude or purge a study.
NamesStudies = Annotated[object, needs(Role.READER, Role.LEAD, Role.OPERATOR, Role.ADMIN, Role.SERVICE, Role.TRAINER)]


class CandidateAnswer(Answer):
    """One that is meant, perhaps: its id, its state, and when it was made."""

    id: UUID
    state: str
    at: datetime


class Candidates(Answer):
    """The ids that end so, the newest first, at most ten: more than one, and more digits are needed."""

    candidates: list[CandidateAnswer]


@router.get("/study/{ends}")
def get_study_handle(ends: Ends, ledger: UsesLedger, _: NamesStudies) -> Candidates:
    """The studies whose id, own or provisional, ends so."""
    return _answer(ledger, Named.STUDY, ends)


@router.get("/summary/{ends}")
def get_summary_handle(ends: Ends, ledger: UsesLedger, _: TextReader) -> Candidates:
    """The summaries whose id ends so."""
    return _answer(ledger, Named.SUMMARY, ends)


@router.get("/turn/{ends}")
def get_turn_handle(ends: Ends, ledger: UsesLedger, _: TextReader) -> Candidates:
    """The chat turns whose id ends so."""
    return _answer(ledger, Named.TURN, ends)


@router.get("/job/{ends}")
def get_job_handle(ends: Ends, ledger: UsesLedger, _: Operator) -> Candidates:
    """The dead jobs whose id ends so."""
    return _answer(ledger, Named.JOB, ends)


@router.get("/backlog/{ends}")
def get_backlog_handle(ends: Ends, ledger: UsesLedger, _: Operator) -> Candidates:
    """The backlogs whose id ends so."""
    return _answer(ledger, Named.BACKLOG, ends)


@router.get("/run/{ends}")
def get_run_handle(ends: Ends, ledger: UsesLedger, _: RunWatcher) -> Candidates:
    """The training runs whose id ends so."""
    return _answer(ledger, Named.RUN, ends)


@router.get("/comparison/{ends}")
def get_comparison_handle(ends: Ends, ledger: UsesLedger, _: LeadAdminOrOperator) -> Candidates:
    """The comparisons whose id ends so."""
    return _answer(ledger, Named.COMPARISON, ends)


def _answer(ledger: Ledger, kind: Named, ends: str) -> Candidates:
    return Candidates.model_validate({"candidates": ending_in(ledger, kind, ends)})
