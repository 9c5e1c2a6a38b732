"""The reading room: a page for radiologists, made of the files in ``static/``. It holds nothing; the API does."""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

router = APIRouter(include_in_schema=False)
_FILES = files("api_gateway") / "static"
# Scripts, styles and answers come from this gateway alone; nothing is inline, nothing is framed, no form is sent.
_RULES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _RULES,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A new version is asked for at once; the files hold no patient's data and may lie in the browser meanwhile.
    "Cache-Control": "no-cache",
}


class _Room(StaticFiles):
    """The page's files, with the same rules as the page."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers.update(_HEADERS)
        return answer


def serve_room(app: FastAPI) -> None:
    """Put the page at ``/`` and its files under ``/room``."""
    app.mount("/room", _Room(directory=str(_FILES)), name="room")
    app.include_router(router)


@router.get("/")
def get_room() -> FileResponse:
    """The reading room."""
    return FileResponse(str(_FILES / "index.html"), headers=_HEADERS)
