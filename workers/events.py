"""The bucket's events from an SQS queue. A message is deleted when what it says is committed, not before.

So a process that is killed leaves its messages to the next one, once their visibility timeout has ended; an event that
is taken twice changes nothing. A message that cannot be read is left to the queue's own redrive policy.
"""

import logging
import secrets
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from workers.context import Context
from xraygpt_core.bucket_events import count_refused, register_events
from xraygpt_core.errors import ConfigurationError, InvalidRequest, Unauthorised, Unavailable
from xraygpt_core.ledger.operations.unreadable import note_unreadable
from xraygpt_core.metrics import SQS_MESSAGES
from xraygpt_core.s3_events import parse_events
from xraygpt_core.s3_events.sns import from_queue
from xraygpt_core.sqs import MessageQueue, QueueMessage

log = logging.getLogger(__name__)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class Poller:
    """Empties one queue until :meth:`stop`."""

    def __init__(self, context: Context, queue: MessageQueue) -> None:
        self._context = context
        self._queue = queue
        self._stopping = threading.Event()
        self._open_sns = from_queue(context.settings.sns_topic_arns)

    def stop(self) -> None:
        """Finish the messages at hand and return from :meth:`run`. Callable from any thread and signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Take messages until :meth:`stop`; a service that does not answer is asked again, ever more slowly."""
        if not self._queue.check():
            log.warning("the queue has no redrive policy: messages that cannot be read will come again for ever")
        pause = _SHORTEST_PAUSE
        while not self._stopping.is_set():
            try:
                self.take(self._queue.receive())
                pause = _SHORTEST_PAUSE
            except Unavailable as error:
                log.warning("events wait: a service does not answer", extra={"error": str(error)})
                self._stopping.wait(pause * (0.5 + secrets.randbelow(1000) / 1000))
                pause = min(_LONGEST_PAUSE, pause * 2)

    def take(self, messages: Sequence[QueueMessage]) -> None:
        """Commit what these messages say, then delete them.

        Raises:
            Unavailable: a service does not answer. What is done already is deleted nevertheless.
        """
        done: list[QueueMessage] = []
        with self._hidden(messages):
            try:
                for message in messages:
                    if self._took(message):
                        done.append(message)
            finally:
                SQS_MESSAGES.labels("done").inc(self._queue.delete(done))

    def _took(self, message: QueueMessage) -> bool:
        """Is what this message says committed? False if it cannot be read."""
        try:
            events = parse_events(message.body.encode(errors="surrogatepass"), open_sns=self._open_sns)
        except (InvalidRequest, Unauthorised) as error:
            count_refused()
            note_unreadable(self._context.ledger, "sqs", str(error))
            SQS_MESSAGES.labels("poison").inc()
            fields = {"error": str(error), "attempts": message.receive_count}
            log.error("a message cannot be read: it is left to the queue", extra=fields)  # noqa: TRY400  # no defect of ours
            return False
        register_events(self._context.ledger, self._context.store, events, self._context.settings.sqs_lane)
        return True

    @contextmanager
    def _hidden(self, messages: Sequence[QueueMessage]) -> Iterator[None]:
        """Keep these messages from other pollers while the block runs, but for no longer than a job may run."""
        over = threading.Event()
        rounds = int(self._context.settings.max_run_seconds / self._queue.visibility * 3) + 1

        def keep() -> None:
            for _ in range(rounds):
                if over.wait(self._queue.visibility / 3):
                    return
                try:
                    self._queue.extend(messages)
                except (Unavailable, ConfigurationError) as error:
                    log.warning("messages may come twice", extra={"error": str(error)})

        thread = threading.Thread(target=keep, name="visibility", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def poll(context: Context, closing: ExitStack) -> int:
    """Poll the configured queue until SIGTERM or SIGINT; the exit code.

    Raises:
        ConfigurationError: no queue is set, or there is none. Unavailable: it did not answer at the start.
    """
    queue = MessageQueue(context.settings)
    closing.callback(queue.close)
    poller = Poller(context, queue)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: poller.stop())
    poller.run()
    return 0
