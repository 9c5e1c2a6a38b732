"""The API's own pages: OpenAPI and Swagger UI, whose files come with the installation, not from a CDN."""

from importlib.resources import files

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)
_ASSETS = "/docs/assets"
# People type API keys into this page, so it runs only the two scripts that it names.
_RULES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>XrayGPT</title>
<link rel="stylesheet" href="{_ASSETS}/swagger-ui.css">
<link rel="icon" href="{_ASSETS}/favicon.png">
<div id="swagger-ui"></div>
<script src="{_ASSETS}/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""


def serve_docs(app: FastAPI) -> None:
    """Put the pages under /docs."""
    app.mount(_ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="assets")
    app.include_router(router)


@router.get("/docs")
async def get_docs() -> HTMLResponse:
    """Swagger UI."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _RULES})


@router.get("/docs/start.js")
async def get_start() -> Response:
    """The script that starts Swagger UI: a file, so that the page needs no inline script."""
    return Response(_START, media_type="text/javascript")
