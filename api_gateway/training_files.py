"""What training runs leave for trainers, and which studies they are not given. Films and texts stand in the files."""

import hashlib
import hmac
import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from api_gateway.auth import LeadOrTrainer, Trainer, UsesLedger, UsesServices
from api_gateway.dependencies import Dependencies
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer
from xraygpt_core.errors import NotFound, ObjectMissing, Rejected, WrongPicture
from xraygpt_core.ledger.studies.exclude import exclude_study, include_study
from xraygpt_core.ledger.training.files import BOARD, LOG, PROBLEMS, REPORT, run_file, run_files

router = APIRouter(tags=["training"])

log = logging.getLogger(__name__)

_LARGEST_BYTES = 128 << 20
_TYPES = {
    REPORT: "text/html; charset=utf-8",
    BOARD: "application/zip",
    LOG: "text/plain; charset=utf-8",
    PROBLEMS: "application/json",
}
# A report is one file: its own styles, its films as data. Nothing in it runs, is sent anywhere, or is fetched.
_RULES = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type.partition(";")[0]: {} for media_type in _TYPES.values()}},
    500: {"description": "The stored file is not the one that its worker wrote"},
}


class FileAnswer(Answer):
    """A file of a run."""

    name: str
    bytes: int | None
    sha256: str
    at: datetime


class Files(Answer):
    """The files of a run: ``report.html`` once it is done; ``tensorboard.zip``, ``log.txt`` and ``problems.json``."""

    run_id: UUID
    files: list[FileAnswer]


@router.get("/v1/training-runs/{run_id}/files")
def get_files(run_id: UUID, ledger: UsesLedger, _: Trainer) -> Files:
    """What the run left for trainers."""
    return Files(run_id=run_id, files=[FileAnswer.model_validate(one) for one in run_files(ledger, run_id)])


@router.get("/v1/training-runs/{run_id}/files/{name}", response_class=Response, responses=_FILE)
def get_file(run_id: UUID, name: str, services: UsesServices, _: Trainer) -> Response:
    """One of these files, to be kept by its reader."""
    if name not in _TYPES:
        raise NotFound(f"the run {run_id} has no file of this name")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Security-Policy": _RULES}
    return Response(_verified(services, run_id, name), media_type=_TYPES[name], headers=headers)


@router.get("/v1/training-runs/{run_id}/report", response_class=Response, responses=_FILE)
def get_report(run_id: UUID, services: UsesServices, _: Trainer) -> Response:
    """The run's report, as a page."""
    headers = {"Content-Security-Policy": _RULES, "Cross-Origin-Opener-Policy": "same-origin"}
    return Response(_verified(services, run_id, REPORT), media_type=_TYPES[REPORT], headers=headers)


@router.post("/v1/studies/{study_id}/exclusion", status_code=204)
def post_exclusion(study_id: UUID, once: RunsOnce, _: LeadOrTrainer) -> Response:
    """Give the study to no training run from now on. 409 if that is so already."""
    return once.empty(lambda ledger: exclude_study(ledger, study_id))


@router.delete("/v1/studies/{study_id}/exclusion", status_code=204)
def delete_exclusion(study_id: UUID, once: RunsOnce, _: LeadOrTrainer) -> Response:
    """Take that back. 409 if the study is not excluded."""
    return once.empty(lambda ledger: include_study(ledger, study_id))


def _verified(services: Dependencies, run_id: UUID, name: str) -> bytes:
    """The file's bytes.

    Raises:
        NotFound: the run has none, or a purge took it meanwhile.
        WrongPicture: what the bucket holds is not what the worker wrote.
    """
    file = run_file(services.ledger, run_id, name)
    try:
        content = services.store.get(file.key, max_bytes=_LARGEST_BYTES)
    except ObjectMissing:
        raise NotFound(f"the run {run_id} has no {name} any more") from None
    except Rejected:
        content = b""
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), file.sha256):
        log.critical("a stored file of a run is not the one its worker wrote", extra={"run_id": str(run_id)})
        raise WrongPicture("the stored file is not the one that its worker wrote, so it is not shown: tell an operator")
    return content
