"""A worker's own ``/metrics``, which asks for a token, and ``/healthz``, which does not."""

import hmac
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.metrics import registry_of
from xraygpt_core.settings import Settings

_SILENT_SECONDS = 5


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = _SILENT_SECONDS  # of a connection that says nothing

    def log_message(self, *_: Any) -> None:
        """Requests are not logged."""


def serve_metrics(settings: Settings, role: str) -> None:
    """Serve those of this role on XRAYGPT_METRICS_PORT, in threads that end with the process.

    Raises:
        ConfigurationError: there is no token, or the port is another's.
    """
    token, port = settings.metrics_token, settings.metrics_port
    if token is None:
        raise ConfigurationError("XRAYGPT_METRICS_PORT needs XRAYGPT_METRICS_TOKEN: /metrics answers to nothing else")
    try:
        answer = guarded(token.get_secret_value(), registry_of(role))
        server = make_server(settings.metrics_host, port, answer, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise ConfigurationError(
            f"XRAYGPT_METRICS_PORT: cannot listen on {port} ({error.strerror}); give each worker of a host its own port"
        ) from None
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def guarded(token: str, registry: CollectorRegistry) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """The WSGI application (PEP 3333)."""
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/healthz":
            start("200 OK", [("Content-Type", "application/json")])
            return [b'{"status":"alive"}']
        shown = environ.get("HTTP_AUTHORIZATION", "").encode()
        if not hmac.compare_digest(shown, f"Bearer {token}".encode()):
            start("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain")])
            return [b"send the token of XRAYGPT_METRICS_TOKEN\n"]
        return metrics(environ, start)  # type: ignore[no-any-return]

    return answer
