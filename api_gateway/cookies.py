"""The cookie of a session, and the proof that a request with it comes from our own page.

A browser sends a cookie with every request that any page causes (and to every port of a host: RFC 6265, section 8.5).
So a cookie counts only for requests of our own origin, and a change also needs a token that only our page can read:
HMAC-SHA256 of the cookie's value.
"""

import hmac
from hashlib import sha256

from starlette.requests import HTTPConnection
from starlette.responses import Response

from xraygpt_core.errors import Forbidden, Unauthorised

# Over TLS the prefix keeps other hosts and plain HTTP from setting it (RFC 6265bis, section 4.1.3.2).
_OVER_TLS, _PLAIN = "__Host-xraygpt", "xraygpt"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def session_token(request: HTTPConnection) -> str | None:
    """The token of the session's cookie."""
    return request.cookies.get(_name(request))


def set_cookie(request: HTTPConnection, response: Response, token: str) -> None:
    """Let the browser keep the session until it is closed: for this host only, and unreadable for scripts."""
    response.set_cookie(_name(request), token, path="/", secure=_tls(request), httponly=True, samesite="strict")


def clear_cookie(request: HTTPConnection, response: Response) -> None:
    """Remove the cookie from the browser."""
    response.delete_cookie(_name(request), path="/", secure=_tls(request), httponly=True, samesite="strict")


def csrf_token(token: str) -> str:
    """The token that our page sends with the cookie."""
    return hmac.new(token.encode(), b"xraygpt csrf", sha256).hexdigest()


def must_be_our_page(request: HTTPConnection) -> None:
    """Refuse a request that another page caused.

    The browser says so (Fetch Metadata, ``Sec-Fetch-Site``). If it does not, as over plain HTTP from another machine,
    the origin's host and port must be ours (RFC 6454); a proxy may change the scheme.

    Raises:
        Forbidden: the request says that it comes from elsewhere.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is not None:
        site = "same-origin" if origin.partition("://")[2] == request.headers.get("host") else "elsewhere"
    if site not in (None, "same-origin", "none"):
        raise Forbidden("another page sent this: a session opens the gateway to its own page alone")


def must_hold_token(request: HTTPConnection, token: str) -> None:
    """Refuse a change without the page's token, and any request that shows another session's.

    Raises:
        Unauthorised: the cookie alone does not open this.
    """
    shown = request.headers.get(CSRF_HEADER)
    if shown is None and request.scope["method"] in _SAFE:
        return
    if shown is None or not hmac.compare_digest(shown.encode(), csrf_token(token).encode()):
        raise Unauthorised(f"the session needs its own {CSRF_HEADER} with this request: sign in again")


def _tls(request: HTTPConnection) -> bool:
    return request.url.scheme == "https"


def _name(request: HTTPConnection) -> str:
    return _OVER_TLS if _tls(request) else _PLAIN
