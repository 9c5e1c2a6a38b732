"""What an engine's failure means: the study's fault, the engine's, or neither's; and when the process must end."""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future

from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from xraygpt_core.errors import ConfigurationError, InvalidRequest, Rejected, Unavailable
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.model.backend import REQUEST_ERRORS, DeviceLost, Generated, ServerBusy

log = logging.getLogger(__name__)

MOST_IN_A_ROW = 10  # so many studies, each for the first time: it is the device or the bundle, not the studies


class EngineFailures:
    """Translates the failures of one process's engine.

    Args:
        stop: drains the process and ends it with an exit code.
    """

    def __init__(self, stop: Callable[[int], None]) -> None:
        self._stop = stop
        self._in_a_row = 0

    def result(self, future: "Future[Generated]", progress: JobProgress) -> Generated:
        """What the engine generated.

        Raises:
            HandedBack: the request was dropped, or the engine or its server is gone, or is not the one that the bundle
                names: the attempt does not count.
            LeaseLost: it was dropped because another worker has the job.
            DeviceLost: it was on the device when that broke, which counts as an attempt: it may be the cause.
            Rejected, InvalidRequest: the image's own fault, on any engine.
        """
        try:
            generated = future.result()
        except CancelledError:
            progress.check()
            raise HandedBack("the engine dropped the request") from None
        except Unavailable:
            self._stop(BROKEN)
            raise HandedBack("the engine is gone") from None
        except ServerBusy as error:
            raise HandedBack("the model server does not answer", error.wait or None) from None
        except ConfigurationError as error:
            self._stop(BROKEN)
            raise HandedBack(str(error)) from None
        except DeviceLost:
            self._stop(BROKEN)
            raise
        except (InvalidRequest, Rejected):
            raise
        except REQUEST_ERRORS:
            self._count(progress.claim)
            raise
        self._in_a_row = 0
        return generated

    def _count(self, claim: Claim) -> None:
        """A broken device or bundle fails every request: end before it has used up the attempts of all studies.

        A study that failed before says nothing new, and at the end of a backlog only such are left.
        """
        self._in_a_row += claim.attempts == 1
        if self._in_a_row >= MOST_IN_A_ROW:
            log.critical("the engine fails every request: the process exits", extra={"exit_code": BROKEN})
            self._stop(BROKEN)
