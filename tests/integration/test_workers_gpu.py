"""Summaries and chat through a small engine of ours, with a real ledger and bucket."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from workers.edge import run_job
from workers.gpu import EXIT_BROKEN, Reader
from workers.serving import watch
from xraygpt_core.errors import Unavailable, XrayGPTError
from xraygpt_core.ledger.chat import ask, transcript
from xraygpt_core.ledger.serving import Served, serve, served_bundle
from xraygpt_core.model.engine.items import DeviceLost
from xraygpt_core.model.engine.requests import ChatRequest, Generated, SummaryRequest
from xraygpt_core.states import JobKind, Lane

if TYPE_CHECKING:
    from tests.integration.conftest import Bench
else:
    Bench = Any

BUNDLE = SimpleNamespace(name="demo", sha256="b" * 64, question="What do you see?")


def generated(text: str) -> Generated:
    return Generated(
        text=text,
        findings="Clear lungs.",
        impression="Normal.",
        prompt="###Patient: <Img>[image tokens]</Img> What do you see? ###Doctor:",
        template="xraygpt-code",
        decoding={"max_new_tokens": 96},
        seed=None,
        tokens=7,
        batch_size=3,
        waited_seconds=0.1234,
        generate_seconds=1.0,
        software={"torch": "2.13.0"},
    )


@dataclass
class SmallEngine:
    """Answers at once with ``answer(request, hooks)``; ``ranks`` and ``requests`` remember what it was asked."""

    answer: Callable[[Any, SimpleNamespace], Generated] = lambda request, hooks: generated("Normal chest.")
    requests: list[Any] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def submit(self, request: Any, *, rank: int, **hooks: Any) -> "Future[Generated]":
        self.requests.append(request)
        self.ranks.append(rank)
        future: Future[Generated] = Future()

        def work() -> None:
            try:
                future.set_result(self.answer(request, SimpleNamespace(**hooks)))
            except (RuntimeError, XrayGPTError, CancelledError) as error:
                future.set_exception(error)

        thread = threading.Thread(target=work)
        self.threads.append(thread)
        thread.start()
        return future


@dataclass
class Desk:
    """A reader, its engine, and the exit codes it asked for."""

    bench: Bench
    engine: SmallEngine
    stopped: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = Reader(self.bench.context, self.engine, BUNDLE, self.stopped.append)  # type: ignore[arg-type]

    def do(self, kind: JobKind) -> None:
        body = self.reader.chat if kind is JobKind.CHAT else self.reader.summarise
        for job_id in self.bench.queued(kind):
            run_job(self.bench.context, kind, str(job_id), body)


@pytest.fixture
def desk(bench: Bench) -> Iterator[Desk]:
    made = Desk(bench, SmallEngine())
    yield made
    for thread in made.engine.threads:
        thread.join()


@pytest.fixture
def study(bench: Bench) -> UUID:
    study_id: UUID = bench.settled(1)
    return study_id


def summary(bench: Bench) -> dict[str, Any]:
    (row,) = bench.rows("SELECT * FROM summaries")
    return row


def job(bench: Bench, kind: JobKind) -> tuple[str, int]:
    (row,) = bench.rows("SELECT state, attempts FROM jobs WHERE kind = :kind", kind=kind)
    return row["state"], row["attempts"]


def test_a_study_gets_its_summary_with_its_provenance(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    row = summary(desk.bench)
    assert (row["summary"], row["findings"], row["impression"]) == ("Normal chest.", "Clear lungs.", "Normal.")
    assert (row["bundle"], row["bundle_sha256"], row["tokens"], row["batch_size"]) == ("demo", "b" * 64, 7, 3)
    assert row["provenance"] == {
        "image_sha256": desk.bench.value("SELECT normalised_sha256 FROM images"),
        "prompt": "###Patient: <Img>[image tokens]</Img> What do you see? ###Doctor:",
        "template": "xraygpt-code",
        "decoding": {"max_new_tokens": 96},
        "seed": None,
        "software": {"torch": "2.13.0"},
        "waited_seconds": 0.123,
        "generate_seconds": 1.0,
    }
    assert desk.bench.value("SELECT state FROM studies WHERE id = :id", id=study) == "summarised"


def test_the_engine_sees_the_normalised_image_and_nothing_else(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    assert desk.engine.requests == [SummaryRequest(b"normalised image 1")]


def test_lanes_and_chat_have_their_rank(desk: Desk) -> None:
    for number, lane in enumerate([Lane.BACKLOG, Lane.STAT, Lane.ROUTINE]):
        desk.bench.settled(number, lane)
    desk.do(JobKind.SUMMARISE)
    assert desk.engine.ranks == [3, 1, 2]
    ask(desk.bench.ledger, desk.bench.value("SELECT study_id FROM summaries LIMIT 1"), "Is there an effusion?")
    desk.do(JobKind.CHAT)
    assert desk.engine.ranks[-1] == 0


def test_an_image_that_changed_in_the_bucket_is_not_summarised(desk: Desk, study: UUID) -> None:
    desk.bench.store.put(desk.bench.value("SELECT normalised_key FROM images"), b"something else", "image/png")
    desk.do(JobKind.SUMMARISE)
    assert desk.engine.requests == []
    assert job(desk.bench, JobKind.SUMMARISE) == ("queued", 1)


def test_no_text_is_no_summary(desk: Desk, study: UUID) -> None:
    desk.engine.answer = lambda request, hooks: generated("  ")
    desk.do(JobKind.SUMMARISE)
    assert desk.bench.value("SELECT count(*) FROM summaries") == 0
    assert job(desk.bench, JobKind.SUMMARISE) == ("queued", 1)


def test_a_chat_turn_sees_the_summary_and_the_turns_before_it(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    desk.engine.answer = lambda request, hooks: generated(f"Answer to {request.question}")
    for question in ("First?", "Second?"):
        ask(desk.bench.ledger, study, question)
        desk.do(JobKind.CHAT)
    assert desk.engine.requests[-1] == ChatRequest(
        b"normalised image 1",
        (("What do you see?", "Normal chest."), ("First?", "Answer to First?")),
        "Second?",
    )
    assert [turn.answer for turn in transcript(desk.bench.ledger, study)] == ["Answer to First?", "Answer to Second?"]


def test_an_answer_is_shown_while_it_is_written(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)

    def answer(_request: Any, hooks: SimpleNamespace) -> Generated:
        hooks.on_progress()
        hooks.on_text("No")
        desk.bench.eventually(
            lambda: transcript(desk.bench.ledger, study)[0].answer == "No", "the first word is stored"
        )
        hooks.on_text("No effusion.")
        return generated("No effusion.")

    desk.engine.answer = answer
    ask(desk.bench.ledger, study, "Is there an effusion?")
    desk.do(JobKind.CHAT)
    (turn,) = transcript(desk.bench.ledger, study)
    assert (turn.answer, turn.state) == ("No effusion.", "done")


def test_a_lost_lease_cancels_the_request(desk: Desk, study: UUID) -> None:
    cancelled = threading.Event()

    def answer(_request: Any, hooks: SimpleNamespace) -> Generated:
        desk.bench.context.heart.running()[0].lost.set()
        desk.bench.eventually(hooks.cancelled, "the engine is told")
        cancelled.set()
        raise CancelledError

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert cancelled.wait(20)
    assert desk.bench.value("SELECT count(*) FROM summaries") == 0


def test_draining_hands_back_what_has_not_begun_and_finishes_what_has(desk: Desk) -> None:
    for number in range(2):
        desk.bench.settled(number)
    begun = desk.bench.queued(JobKind.SUMMARISE)[0]
    go_on = threading.Event()

    def answer(request: SummaryRequest, hooks: SimpleNamespace) -> Generated:
        if request.image_png == b"normalised image 0":
            hooks.on_progress()
        else:
            desk.bench.context.draining.set()
            desk.bench.eventually(hooks.cancelled, "the engine is told to drop it")
            go_on.set()
            raise CancelledError
        assert go_on.wait(20)
        return generated("Normal chest.")

    desk.engine.answer = answer
    other = threading.Thread(
        target=run_job, args=(desk.bench.context, JobKind.SUMMARISE, str(begun), desk.reader.summarise)
    )
    other.start()
    desk.bench.eventually(lambda: len(desk.engine.requests) == 1, "the first is in the engine")
    desk.do(JobKind.SUMMARISE)
    other.join()
    rows = desk.bench.rows("SELECT state, attempts FROM jobs WHERE kind = 'summarise' ORDER BY id")
    assert rows == [{"state": "done", "attempts": 1}, {"state": "queued", "attempts": 0}]


def test_an_engine_that_is_gone_ends_the_process_and_costs_no_attempt(desk: Desk, study: UUID) -> None:
    def answer(_request: Any, _hooks: SimpleNamespace) -> Generated:
        raise Unavailable("the engine is closed")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert desk.stopped == [EXIT_BROKEN]
    assert job(desk.bench, JobKind.SUMMARISE) == ("queued", 0)


def test_a_device_that_fails_everything_is_left_before_all_attempts_are_used(desk: Desk) -> None:
    for number in range(3):
        desk.bench.settled(number)

    def answer(_request: Any, _hooks: SimpleNamespace) -> Generated:
        raise RuntimeError("CUDA error: device-side assert triggered")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert desk.stopped == [EXIT_BROKEN]


def test_who_was_on_a_lost_device_has_used_an_attempt_and_later_runs_alone(desk: Desk, study: UUID) -> None:
    alone: list[bool] = []

    def answer(_request: Any, hooks: SimpleNamespace) -> Generated:
        alone.append(hooks.alone)
        raise DeviceLost("AcceleratorError in the model step")

    desk.engine.answer = answer
    for _ in range(3):
        desk.bench.rows("UPDATE jobs SET not_before = clock_timestamp() WHERE kind = 'summarise' RETURNING id")
        desk.do(JobKind.SUMMARISE)
    assert alone == [False, False, True]
    assert desk.stopped == [EXIT_BROKEN] * 3
    assert job(desk.bench, JobKind.SUMMARISE)[1] == 3
    assert desk.bench.value("SELECT last_error FROM jobs WHERE kind = 'summarise'").startswith("DeviceLost: Accel")


def test_the_timeline_says_who_shared_the_batch_and_how_long_it_took(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    detail = desk.bench.value("SELECT detail FROM timeline WHERE what = 'summarised'")
    assert {name: detail[name] for name in ("tokens", "batch_size", "waited_seconds", "generate_seconds")} == {
        "tokens": 7,
        "batch_size": 3,
        "waited_seconds": 0.123,
        "generate_seconds": 1.0,
    }


def test_one_bad_item_fails_alone(desk: Desk) -> None:
    for number in range(4):
        desk.bench.settled(number)

    def answer(request: SummaryRequest, _hooks: SimpleNamespace) -> Generated:
        if request.image_png.endswith(b"1"):
            raise RuntimeError("bad item")
        return generated("Normal chest.")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert desk.stopped == []
    assert desk.bench.value("SELECT count(*) FROM summaries") == 3
    assert desk.bench.value("SELECT last_error FROM jobs WHERE last_error IS NOT NULL").startswith("RuntimeError")


def test_waiting_behind_others_is_no_stall_while_the_engine_moves(desk: Desk, study: UUID) -> None:
    moved = []

    def answer(_request: Any, hooks: SimpleNamespace) -> Generated:
        (pulse,) = desk.bench.context.heart.running()
        before = pulse.moved
        hooks.on_progress()  # of whatever request is on the device
        desk.bench.eventually(lambda: pulse.moved > before, "the waiting job's pulse goes on")
        moved.append(True)
        return generated("Normal chest.")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert moved == [True]


def test_a_worker_leaves_when_another_bundle_is_promoted(bench: Bench) -> None:
    left = threading.Event()
    watch(bench.ledger, served_bundle(bench.ledger), left.set, seconds=0.05)
    assert not left.wait(0.3)
    assert serve(bench.ledger, "stage2-1234") == Served("stage2-1234", None)
    assert left.wait(20)
