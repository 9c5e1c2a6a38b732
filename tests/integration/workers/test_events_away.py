"""What the poller does about an event queue that does not answer."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.worker_bench import Bench
from workers import events
from workers.events import Poller
from xraygpt_core.errors import Unavailable
from xraygpt_core.sqs import QueueMessage


class Failing:
    """A queue that does not answer so many times, then stops the poller."""

    visibility = 60

    def __init__(self, times: int) -> None:
        self.times = times
        self.stop: Callable[[], None] = lambda: None

    def check(self) -> bool:
        return True

    def receive(self) -> list[QueueMessage]:
        if self.times:
            self.times -= 1
            raise Unavailable("no")
        self.stop()
        return []

    def delete(self, messages: Sequence[QueueMessage]) -> int:
        return len(messages)

    def extend(self, messages: Sequence[QueueMessage]) -> None:
        """Nothing to hide."""


def test_a_queue_that_does_not_answer_is_asked_again_ever_more_slowly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue: Any = Failing(12)
    poller = Poller(bench.context, queue)
    queue.stop = poller.stop
    waits: list[float] = []
    monkeypatch.setattr(poller._stopping, "wait", waits.append)
    poller.run()
    assert len(waits) == 12
    assert 0.25 <= waits[0] <= 0.75
    assert all(events._LONGEST_PAUSE * 0.5 <= wait <= events._LONGEST_PAUSE * 1.5 for wait in waits[7:])
