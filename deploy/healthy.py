"""The health check of our containers: ``python healthy.py PORT/PATH`` ends with 0 if what runs there answers well.

``/metrics`` is asked with the token of the mounted secrets: a health check inherits nothing from the entry point.
"""

import os
import sys
import urllib.request
from pathlib import Path

SECONDS = 5.0


def healthy(where: str) -> bool:
    """Ask ``http://127.0.0.1:<where>``.

    Raises:
        OSError: no answer, or none with 2xx (``urllib.error.URLError`` is one).
    """
    request = urllib.request.Request(f"http://127.0.0.1:{where}")
    if where.endswith("/metrics") and (token := metrics_token()):
        request.add_header("Authorization", f"Bearer {token}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=SECONDS) as answer:
        return 200 <= answer.status < 300


def metrics_token() -> str | None:
    """The token of ``/metrics``, where this container holds one."""
    file = Path(os.environ.get("SECRETS", "/run/secrets")) / "XRAYGPT_METRICS_TOKEN"
    return file.read_text().strip() if file.is_file() else None


if __name__ == "__main__":
    try:
        sys.exit(0 if healthy(sys.argv[1]) else 1)
    except OSError as error:
        sys.exit(f"unhealthy: {error}")
