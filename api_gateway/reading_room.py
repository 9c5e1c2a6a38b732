"""The pages: reading room, training runs and operations. Files in ``static/``; all data from the API."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from api_gateway.arrivals import number_in, with_number

_FILES = Path(__file__).parent / "static"
# Scripts, styles and answers come only from this gateway; nothing is inline, nothing is framed, no form is sent.
_RULES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {  # beside those of every answer (api_gateway.middleware)
    "Content-Security-Policy": _RULES,
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _Room(StaticFiles):
    """The page's files. Their address changes with their content, so a browser fetches each of them once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers.update(_HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"})
        return answer


def serve_room(app: FastAPI) -> None:
    """Put the pages at ``/`` (also ``/open``), ``/training`` and ``/ops``, their files under ``/room/<their hash>``."""
    place = f"/room/{_content()}/"
    room, training, ops = (
        (_FILES / name).read_text().replace('"/room/', f'"{place}')
        for name in ("index.html", "training.html", "ops.html")
    )
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def get_room() -> HTMLResponse:
        """The reading room. Browsers ask for it at each visit, so that no reader works with an old version."""
        return HTMLResponse(room, headers=_HEADERS | {"Cache-Control": "no-cache"})

    @router.post("/open")
    async def post_open(request: Request) -> HTMLResponse:
        """The reading room, for a number that another page of the hospital sends in a form."""
        number = number_in(request.headers.get("content-type", ""), await request.body())
        return HTMLResponse(with_number(room, number), headers=_HEADERS)  # kept by no browser: Cache-Control: no-store

    @router.get("/training")
    def get_training() -> HTMLResponse:
        """The training runs."""
        return HTMLResponse(training, headers=_HEADERS | {"Cache-Control": "no-cache"})

    @router.get("/ops")
    def get_operations() -> HTMLResponse:
        """Operations."""
        return HTMLResponse(ops, headers=_HEADERS | {"Cache-Control": "no-cache"})

    app.mount(place.rstrip("/"), _Room(directory=_FILES), name="room")
    app.include_router(router)


def _content() -> str:
    """A short hash over all files and their names."""
    digest = sha256()
    for path in sorted(_FILES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
