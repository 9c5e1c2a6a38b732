"""How the GPU worker takes what its engine answers: which failures end the process, and who is told to stop."""

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from workers.engine_failures import MOST_IN_A_ROW
from workers.executor import HandedBack
from workers.gpu import GpuJobs
from workers.in_flight import EngineActivity, InFlight
from xraygpt_core.errors import ConfigurationError, InvalidRequest, LeaseLost, Rejected, Unavailable
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.model.backend import GenerationRequest, RequestFailed, ServerBusy
from xraygpt_core.states import ReasonCode

GOOD = SimpleNamespace(tokens=1, batch_size=1)
NOT_FINITE = RequestFailed("the model's numbers are not finite")


class SmallProgress:
    """The progress of a job on its nth attempt."""

    def __init__(self, attempts: int = 1) -> None:
        self.claim = SimpleNamespace(job_id=uuid4(), attempts=attempts)
        self.lost = threading.Event()

    def report(self) -> None:
        """It came on."""

    def check(self) -> None:
        if self.lost.is_set():
            raise LeaseLost("somebody else does it")


class Counter:
    """A reader whose engine answers at once with what it is told, and the exit codes it asked for."""

    def __init__(self) -> None:
        self.stopped: list[int] = []
        context: Any = SimpleNamespace(draining=threading.Event())
        self.reader = GpuJobs(context, SimpleNamespace(submit=self._submit), SimpleNamespace(), self.stopped.append)  # type: ignore[arg-type]

    def _submit(self, *_: Any, **__: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if isinstance(self.answer, Exception):
            future.set_exception(self.answer)
        else:
            future.set_result(self.answer)
        return future

    def gives(self, answer: Any, times: int = 1, attempts: int = 1) -> None:
        """So many studies get this answer."""
        self.answer = answer
        for _ in range(times):
            in_flight = InFlight(EngineActivity(), SmallProgress(attempts))  # type: ignore[arg-type]
            if isinstance(answer, Exception):
                with pytest.raises((type(answer), HandedBack)):
                    self.reader._ask(GenerationRequest(b""), 1, in_flight)
            else:
                self.reader._ask(GenerationRequest(b""), 1, in_flight)


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.mark.parametrize("error", [NOT_FINITE, RuntimeError("in the encoder"), ValueError("a shape")])
def test_an_engine_that_fails_every_study_is_left(counter: Counter, error: Exception) -> None:
    counter.gives(error, MOST_IN_A_ROW - 1)
    assert counter.stopped == []
    counter.gives(error)
    assert counter.stopped == [BROKEN]


def test_pictures_that_are_no_chests_do_not_end_the_process(counter: Counter) -> None:
    counter.gives(Rejected(ReasonCode.NOT_A_CHEST, "the score is too low"), MOST_IN_A_ROW)
    assert counter.stopped == []


def test_bad_studies_among_good_ones_do_not_end_the_process(counter: Counter) -> None:
    for _ in range(3):
        counter.gives(NOT_FINITE, MOST_IN_A_ROW - 1)
        counter.gives(GOOD)
    assert counter.stopped == []


def test_a_study_that_failed_before_says_nothing_new_about_the_device(counter: Counter) -> None:
    for attempts in (2, 3):
        counter.gives(NOT_FINITE, MOST_IN_A_ROW, attempts)
    assert counter.stopped == []


@pytest.mark.parametrize("error", [InvalidRequest("no picture"), ServerBusy("it is away")])
def test_what_is_not_the_engines_fault_does_not_end_the_process(counter: Counter, error: Exception) -> None:
    counter.gives(error, MOST_IN_A_ROW)
    assert counter.stopped == []


def test_a_server_that_is_not_the_one_meant_ends_the_process_and_costs_no_attempt(counter: Counter) -> None:
    counter.gives(ConfigurationError("the model server has another model now"))
    assert counter.stopped == [BROKEN]


@pytest.mark.parametrize(("wait", "delay"), [(0.0, None), (240.0, 240.0)])
def test_a_study_that_a_busy_server_wants_later_comes_back_later(wait: float, delay: float | None) -> None:
    counter = Counter()
    counter.answer = ServerBusy("it is full", wait)
    with pytest.raises(HandedBack) as handed:
        counter.reader._ask(GenerationRequest(b""), 1, InFlight(EngineActivity(), SmallProgress()))  # type: ignore[arg-type]
    assert handed.value.delay == delay


class Slow:
    """An engine that has written one word, and ends when it is told to."""

    def __init__(self) -> None:
        self.future: Future[Any] = Future()
        self.asked = threading.Event()

    def submit(self, request: GenerationRequest) -> "Future[Any]":
        self.hooks = request
        self.hooks.on_progress()
        self.hooks.on_text("The")
        self.asked.set()
        return self.future


def asked(slow: Slow, show: Any, progress: SmallProgress) -> Any:
    context: Any = SimpleNamespace(draining=threading.Event())
    reader = GpuJobs(context, slow, SimpleNamespace(), [].append)  # type: ignore[arg-type]
    return reader._ask(GenerationRequest(b""), 0, InFlight(EngineActivity(), progress, show))  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [LeaseLost("somebody else does it"), ValueError("nobody foresaw it")])
def test_a_request_whose_caller_left_is_cancelled(error: Exception) -> None:
    slow = Slow()

    def show(_text: str) -> None:
        raise error

    with pytest.raises(type(error)):
        asked(slow, show, SmallProgress())
    assert slow.hooks.cancelled()


def test_a_request_that_is_waited_for_is_not_cancelled() -> None:
    slow = Slow()

    def show(_text: str) -> None:
        assert not slow.hooks.cancelled()
        slow.future.set_result(GOOD)

    assert asked(slow, show, SmallProgress()) is GOOD


def test_a_text_that_cannot_be_shown_for_a_moment_costs_nothing() -> None:
    slow = Slow()
    shown: list[str] = []

    def show(text: str) -> None:
        shown.append(text)
        if len(shown) == 1:
            raise Unavailable("the database does not answer")
        slow.future.set_result(GOOD)

    assert asked(slow, show, SmallProgress()) is GOOD
    assert shown == ["The", "The"]
