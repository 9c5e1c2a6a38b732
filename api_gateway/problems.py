"""Errors as HTTP says them: ``application/problem+json`` (RFC 9457). The one place where our errors become statuses."""

import logging
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from xraygpt_core import errors
from xraygpt_core.states import ReasonCode

log = logging.getLogger(__name__)

STATUS: dict[type[errors.XrayGPTError], HTTPStatus] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.LeaseLost: HTTPStatus.CONFLICT,
    errors.ObjectReplaced: HTTPStatus.CONFLICT,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Rejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ObjectMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BundleError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TrainingError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unauthorised: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Refused: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ConfigurationError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "2"},
    HTTPStatus.CONFLICT: {"Retry-After": "1"},
}

_ERRORS_TOLD = 100


class Problem(BaseModel):
    """What went wrong. ``detail`` says what to do; ``errors`` names the fields of a malformed request."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    reason_code: ReasonCode | None = None
    errors: list[dict[str, str]] | None = None


# Every route answers with this when it does not answer with what it promises.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def problem(
    status: int, detail: str | None = None, *, headers: dict[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem as a response. ``more`` are further members of :class:`Problem`."""
    said = Problem(title=more.pop("title", None) or HTTPStatus(status).phrase, status=status, detail=detail, **more)
    return JSONResponse(
        said.model_dump(exclude_none=True), status, headers=headers, media_type="application/problem+json"
    )


def translate_errors(app: FastAPI) -> None:
    """Give every error that may leave a route its response."""
    app.add_exception_handler(errors.XrayGPTError, _ours)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


def answer(error: errors.XrayGPTError, *, close: bool = False) -> JSONResponse:
    """One of our errors as a response.

    Args:
        close: end the connection with it, for what is still to come of the request is not wanted.
    """
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _defect(error)
    title = (type(error).__doc__ or "").splitlines()[0]
    reason = error.reason if isinstance(error, errors.Rejected) else None
    if reason is ReasonCode.TOO_LARGE:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    headers = dict(_HEADERS.get(status, {}))
    if isinstance(error, errors.TooMany):
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    if close:
        headers["Connection"] = "close"
    return problem(status, str(error), headers=headers, title=title, reason_code=reason)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.XrayGPTError)
    return answer(error)


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    """Which field is wrong and why, without the value: it may be a name or a number of a patient."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"where": ".".join(map(str, item["loc"])), "problem": item["msg"]} for item in error.errors()[:_ERRORS_TOLD]
    ]
    title = errors.InvalidRequest.__doc__
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "see errors for the fields", title=title, errors=found)


async def _http(_: Request, error: Exception) -> JSONResponse:
    """What the framework refuses itself: unknown paths, wrong methods, unreadable or too large bodies."""
    assert isinstance(error, HTTPException)
    detail = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
    return problem(error.status_code, detail, headers=dict(error.headers or {}))


async def _gone(_: Request, _error: Exception) -> JSONResponse:
    """Who sent half a body and left reads no answer; it is no defect of ours."""
    return problem(HTTPStatus.BAD_REQUEST, "the request ended in the middle of its body")


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return _defect(error)


def _defect(error: Exception) -> JSONResponse:
    """A defect of ours: the log has its class and place, the caller learns nothing of either."""
    log.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed inside the gateway; its log says where")
