"""Control: the clock that dispatches and reconciles, sweeps the bucket, lists backlogs, rolls up and purges by age.

Beat runs as a thread of this process, not as a child, so that nothing of it outlives the process. Its messages expire,
and a task that is still running is not started twice: rounds never pile up.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from celery import Celery
from celery.beat import Scheduler, Service

from workers.context import Context
from workers.rollups import Rollups
from workers.sweep import list_backlogs, retain, sweep_bucket
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.access.idempotency import forget_answers
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.status import last_dead
from xraygpt_core.ledger.operations.rollup import forget_old
from xraygpt_core.ledger.preflight import installed_at
from xraygpt_core.queue import CONTROL_QUEUE

log = logging.getLogger(__name__)

_EXPIRES_SECONDS = 30.0
_LIST_SECONDS = 2.0
_RETAIN_SECONDS = 600.0
_FORGET_SECONDS = 3600.0
_ROLLUP_SECONDS = 15.0
# An event may be on its way: what is younger is left to the next sweep.
_GRACE_SECONDS = 60.0


class Control:
    """The rounds of the control worker, each a Celery task without arguments."""

    def __init__(self, context: Context, app: Celery) -> None:
        self._context = context
        self._app = app
        self._swept_until: datetime | None = None
        settings = context.settings
        self._round("tick", settings.tick_seconds, self.tick)
        self._round("list", _LIST_SECONDS, self.list_backlogs)
        self._round("forget", _FORGET_SECONDS, self.forget)
        self._round("rollup", _ROLLUP_SECONDS, Rollups(context.ledger).round)
        if settings.sweep_seconds:
            self._round("sweep", settings.sweep_seconds, self.sweep)
        if settings.retention_days:
            self._round("retain", _RETAIN_SECONDS, self.retain)

    def tick(self) -> None:
        """Dispatch and reconcile; of several processes one at a time leads."""
        did = tick(self._context.ledger)
        if did.requeued or did.buried:
            log.info("reconciled", extra={"requeued": did.requeued, "dead": did.buried})
        if did.buried:
            for claim, error in last_dead(self._context.ledger, did.buried):
                self._context.events.failed(claim, error)

    def sweep(self) -> None:
        """Register what no event announced."""
        now = datetime.now(UTC)
        until = now - timedelta(seconds=min(_GRACE_SECONDS, self._context.settings.sweep_seconds))
        since = self._swept_until or installed_at(self._context.ledger)
        swept = sweep_bucket(self._context.ledger, self._context.store, since, until)
        self._swept_until = swept.until
        log.info("bucket swept", extra={"swept": swept.missed})

    def list_backlogs(self) -> None:
        """Go on listing open backlogs."""
        if listed := list_backlogs(self._context.ledger, self._context.store):
            log.info("backlogs listed", extra={"count": listed})

    def forget(self) -> None:
        """Remove stored answers of requests that are too old to be repeated, and what rollups keep no longer."""
        forget_answers(self._context.ledger)
        forget_old(self._context.ledger)

    def retain(self) -> None:
        """Purge what is older than the retention setting."""
        if purged := retain(self._context.ledger.acting(Actor("retention")), self._context.store):
            log.info("studies purged by age", extra={"count": purged})

    def start_clock(self, died: Callable[[], None]) -> Callable[[], None]:
        """Start beat; returns what stops it. ``died`` is called if it ends without being stopped."""
        service = Service(self._app, max_interval=1, scheduler_cls=Scheduler)
        stopping = threading.Event()

        def beat() -> None:
            try:
                service.start()
            finally:
                if not stopping.is_set():
                    died()

        def stop() -> None:
            stopping.set()
            service.stop(wait=True)

        threading.Thread(target=beat, name="beat", daemon=True).start()
        return stop

    def _round(self, name: str, seconds: float, body: Callable[[], object]) -> None:
        """Schedule a task, without events: Flower lists jobs, and these are none."""
        running = threading.Lock()

        def do() -> None:
            if not running.acquire(blocking=False):
                return
            try:
                body()
            except Unavailable:
                log.warning("round skipped: a service does not answer", extra={"stage": name})
            finally:
                running.release()

        do.__name__ = name
        self._app.task(name=f"xraygpt.{name}", send_events=False, shared=False)(do)
        options = {"queue": CONTROL_QUEUE, "expires": max(_EXPIRES_SECONDS, seconds)}
        entry = {"task": f"xraygpt.{name}", "schedule": seconds, "options": options}
        self._app.conf.beat_schedule = {**self._app.conf.beat_schedule, name: entry}
