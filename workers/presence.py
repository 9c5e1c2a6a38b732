"""A worker process says every ten seconds that it lives: what it has in hand, and how fast it writes.

It does so in a thread of its own, for a device or a database that hangs must not keep the heartbeat from the leases. It
costs a statement each time, however many jobs there are, and nobody's work depends on it.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from workers.gpu_devices import Devices
from xraygpt_core.ledger.operations.presence import Presence, announce, leave
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.metrics import tokens_generated

log = logging.getLogger(__name__)

SECONDS = 10.0


class Announcer:
    """What one process says of itself.

    Attributes:
        slots: jobs it can do at once; 0 before it takes any, and where it takes none.
        busy: how many it does now.
        devices: its GPUs; None: it uses none.
        bundle: the one it has loaded, its hash, and what it declares.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        kind: str,
        *,
        tokens: Callable[[], float] = tokens_generated,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = 0
        self.busy: Callable[[], int] = lambda: 0
        self.devices: Devices | None = None
        self.bundle: tuple[str, str, dict[str, Any]] | None = None
        self._ledger = ledger
        self._name = name
        self._kind = kind
        self._tokens = tokens
        self._clock = clock
        self._counted, self._at = tokens(), clock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, attempt: Callable[[Callable[[], None]], tuple[None, Exception | None]]) -> None:
        """Say it from now on.

        Args:
            attempt: says it and returns what it raised, whatever that is: the thread goes on.
        """

        def run() -> None:
            failing = False
            while True:
                _, error = attempt(self.say)
                if error is not None and not failing:
                    log.warning("not announced", extra={"error": type(error).__name__})
                failing = error is not None
                if self._closed.wait(SECONDS):
                    return

        self._thread = threading.Thread(target=run, name="presence", daemon=True)
        self._thread.start()

    def close(self, attempt: Callable[[Callable[[], None]], tuple[None, Exception | None]]) -> None:
        """It ends in good order: nobody has to wait for a minute to see that."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(SECONDS)
        attempt(lambda: leave(self._ledger, self._name))

    def say(self) -> None:
        """Say it now.

        Raises:
            Unavailable: PostgreSQL does not answer.
        """
        name, sha256, scope = self.bundle or (None, None, None)
        presence = Presence(
            name=self._name,
            kind=self._kind,
            slots=self.slots,
            busy=min(self.busy(), self.slots),
            tokens_per_s=self._speed() if self.bundle else None,
            bundle=name,
            bundle_sha256=sha256,
            scope=scope,
            devices=self.devices.look() if self.devices else None,
        )
        announce(self._ledger, presence)

    def _speed(self) -> float:
        counted, now = self._tokens(), self._clock()
        speed = (counted - self._counted) / max(now - self._at, 0.001)
        self._counted, self._at = counted, now
        return round(max(0.0, speed), 2)
