"""Errors as ``application/problem+json`` (RFC 9457). Only this module maps our errors to HTTP statuses."""

import logging
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api_gateway.refusals import is_refusal, keep_refusal
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
    errors.WrongPicture: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Refused: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ConfigurationError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "2"},
    HTTPStatus.CONFLICT: {"Retry-After": "1"},
}

_MOST_ERRORS = 100


class Problem(BaseModel):
    """What went wrong. ``detail`` says what to do; ``errors`` names the fields of a malformed request."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    reason_code: ReasonCode | None = None
    errors: list[dict[str, str]] | None = None


# Every route may answer with this instead of its own answer.
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
    body = Problem(title=more.pop("title", None) or HTTPStatus(status).phrase, status=status, detail=detail, **more)
    return JSONResponse(
        body.model_dump(exclude_none=True), status, headers=headers, media_type="application/problem+json"
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
        close: end the connection with it, because the rest of the request will not be read.
    """
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if status is None:
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


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.XrayGPTError)
    response = answer(error)
    if is_refusal(request, error):
        try:
            await run_in_threadpool(keep_refusal, request, response.status_code)
        except errors.Unavailable as away:
            return answer(away)
    return response


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    """The faulty fields and why, without their values: a value may name a patient."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"where": ".".join(map(str, item["loc"])), "problem": item["msg"]} for item in error.errors()[:_MOST_ERRORS]
    ]
    title = errors.InvalidRequest.__doc__
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "see errors for the fields", title=title, errors=found)


async def _http(_: Request, error: Exception) -> JSONResponse:
    """Refusals of the framework: unknown paths, wrong methods, unreadable or too large bodies."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, RecursionError):  # the framework's reader of JSON gave up
        title = errors.InvalidRequest.__doc__
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is nested too deeply", title=title)
    detail = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
    return problem(error.status_code, detail, headers=dict(error.headers or {}))


async def _gone(_: Request, _error: Exception) -> JSONResponse:
    """A client that left in the middle of its body is no defect of ours."""
    return problem(HTTPStatus.BAD_REQUEST, "the request ended in the middle of its body")


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return _defect(error)


def _defect(error: Exception) -> JSONResponse:
    """A defect of ours: the log has its class and place, the answer has neither."""
    log.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed inside the gateway; its log says where")
