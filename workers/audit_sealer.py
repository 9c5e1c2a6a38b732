"""Sealing the audit: twice a second, in a thread of control's own, so that neither broker nor sweeps hold it up."""

import logging
import threading
from collections.abc import Callable

from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.audit.chain import MOST_ROWS, ChainHead, Seal
from xraygpt_core.ledger.audit.seal import head_now, is_in_chain, seal
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.metrics import AUDIT_CUT, AUDIT_HEAD, AUDIT_POSITION, AUDIT_SEALED

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5
_METRIC_DIGITS = 12  # of the digest: 48 bits, which a metric's number can hold


class Sealer:
    """Adds links to the chain and publishes its head outside of the database: in the log, and as a metric."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._head: ChainHead | None = None

    def round(self) -> int:
        """Seal all that waits. Returns how many rows that were.

        Raises:
            Unavailable: PostgreSQL does not answer; the next round does the work.
        """
        if self._head is None:
            self._begin_at(head_now(self._ledger))
        count = 0
        while (made := seal(self._ledger)) is not None:
            self._publish(made)
            count += made.rows
            if made.rows < MOST_ROWS:
                break
        return count

    def start(self, died: Callable[[], None]) -> Callable[[], None]:
        """Seal from now on; returns what stops it. ``died`` is called if it ends without being stopped."""
        stopping = threading.Event()

        def run() -> None:
            try:
                while not stopping.wait(_PAUSE_SECONDS):
                    try:
                        self.round()
                    except Unavailable:
                        log.warning("sealing waits: PostgreSQL does not answer")
            finally:
                if not stopping.is_set():
                    died()

        def stop() -> None:
            stopping.set()
            thread.join()

        thread = threading.Thread(target=run, name="sealer", daemon=True)
        thread.start()
        return stop

    def _begin_at(self, head: ChainHead) -> None:
        log.info("audit goes on", extra={"position": head.position, "digest": head.digest})
        self._note(head)

    def _publish(self, made: Seal) -> None:
        """A forger can change what the database remembers of the chain, but not what this process saw of it."""
        last = self._head or ChainHead()
        follows = (made.position - 1, made.previous) == (last.position, last.digest)
        if not follows and not is_in_chain(self._ledger, last):  # else another process sealed meanwhile
            AUDIT_CUT.inc()
            log.critical("the audit was cut off or rewritten", extra={"position": last.position, "digest": last.digest})
        log.info("audit sealed", extra={"position": made.position, "digest": made.digest, "count": made.rows})
        AUDIT_SEALED.inc(made.rows)
        self._note(made.head)

    def _note(self, head: ChainHead) -> None:
        self._head = head
        AUDIT_POSITION.set(head.position)
        AUDIT_HEAD.set(int(head.digest[:_METRIC_DIGITS], 16))
