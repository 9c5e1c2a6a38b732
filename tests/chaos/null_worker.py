"""``python -m tests.chaos.null_worker ingest|gpu|control``: our workers with a real bucket and no pixels or model.

Claims, leases, heartbeats, commits, reads and writes are the product's own. Its normaliser takes every
object for a film of its own, made of those bytes; its engine answers after a while. ``CHAOS_CLOCK_SKEW`` shifts
this process's clock by so many seconds, ``CHAOS_SECONDS`` is how long an answer takes.
"""

import datetime as real_datetime
import hashlib
import os
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

SECONDS = float(os.environ.get("CHAOS_SECONDS", "0.2"))


def shift_clocks(seconds: float) -> None:
    """Let every ``time.time`` and ``datetime.now`` of this process, of whatever library, be wrong by this much.

    Called before anything else is imported. Clocks that only measure durations stay as they are, as on a real machine.
    """
    now = time.time
    time.time = lambda: now() + seconds
    shift = real_datetime.timedelta(seconds=seconds)

    class Shifted(real_datetime.datetime):
        @classmethod
        def now(cls, tz: real_datetime.tzinfo | None = None) -> "Shifted":
            return super().now(tz) + shift

        @classmethod
        def utcnow(cls) -> "Shifted":
            return cls.now(real_datetime.UTC).replace(tzinfo=None)

    real_datetime.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    shift_clocks(float(os.environ.get("CHAOS_CLOCK_SKEW", "0")))

from benchmarks.null_worker import nothing_seen, serve_gpu, serve_ingest  # noqa: E402  # after the clocks
from workers.worker_kinds import ROLES  # noqa: E402
from xraygpt_core.dicom.types import Identifiers, Limits, NormalisedImage  # noqa: E402
from xraygpt_core.logs import configure_logging  # noqa: E402
from xraygpt_core.settings import load_settings  # noqa: E402


class Normaliser:
    """Every object is a frontal film of a study of its own."""

    def __init__(self, _limits: Limits) -> None:
        return None

    def normalise(self, data: bytes) -> NormalisedImage:
        time.sleep(SECONDS / 10)
        one = hashlib.sha256(data).hexdigest()
        uid = f"2.25.{int(one[:30], 16)}"
        said = Identifiers(one, "chaos", uid, one, "chaos", f"{uid}.1")
        return NormalisedImage(data, data[::-1], 2048, 2048, one, "PA", "DX", "dicom", None, (), said)

    def close(self) -> None:
        return None


class Engine:
    """Answers a while after it was asked, with the sha256 of the image, so that a text shows what it was made from."""

    def submit(self, request: Any, **_: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        said = hashlib.sha256(request.image_png).hexdigest()
        made = nothing_seen(said, said, SECONDS)
        timer = threading.Timer(SECONDS, future.set_result, (made,))
        timer.daemon = True
        timer.start()
        return future


def main() -> int:
    """Run one until SIGTERM."""
    role = sys.argv[1]
    settings = load_settings()
    configure_logging(settings.log_level, role)
    with ExitStack() as closing:
        match role:
            case "ingest":
                return serve_ingest(settings, closing, Normaliser)
            case "gpu":
                return serve_gpu(settings, closing, Engine())
            case _:
                return ROLES[role](settings, closing)


if __name__ == "__main__":
    sys.exit(main())
