"""Ends a gateway that stands still, so that its supervisor starts it again."""

import asyncio
import faulthandler
import logging
import os
import time

from anyio import to_thread

from xraygpt_core.exit_codes import BROKEN

log = logging.getLogger(__name__)

LOOP_SECONDS = 30.0  # without a turn of the event loop
POOL_SECONDS = 120.0  # without one of the threads that answer routes becoming free


class Watchdog:
    """The event loop calls :meth:`beat` every few seconds.

    A thread of C (faulthandler) watches the loop itself; it needs no lock of Python. Before it ends the process, it
    writes the place of every thread to stderr, without any value.
    """

    def __init__(self) -> None:
        self._asked: float | None = None
        self._asking: asyncio.Task[None] | None = None

    def beat(self) -> None:
        """The loop turns. Do the threads?"""
        faulthandler.dump_traceback_later(LOOP_SECONDS, exit=True)
        now = time.monotonic()
        if self._asking is None or self._asking.done():
            self._asked, self._asking = now, asyncio.get_running_loop().create_task(_a_thread_is_free())
        elif self._asked is not None and now - self._asked > POOL_SECONDS:
            log.critical("no thread became free for too long: the process exits", extra={"seconds": POOL_SECONDS})
            faulthandler.dump_traceback()
            os._exit(BROKEN)


def end_within(seconds: float) -> None:
    """Kill the process if it has not ended after this time, whatever hangs."""
    faulthandler.dump_traceback_later(seconds, exit=True)


async def _a_thread_is_free() -> None:
    await to_thread.run_sync(lambda: None)
