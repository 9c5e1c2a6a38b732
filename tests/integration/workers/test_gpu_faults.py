"""What goes wrong with an engine, and what that costs the study and the worker."""

import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from tests.support.gpu_worker import Desk, generated
from tests.support.worker_bench import Bench, run_one
from xraygpt_core.errors import Unavailable
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.model.backend import DeviceLost, Generated, GenerationRequest, RequestFailed
from xraygpt_core.states import JobKind


def job(bench: Bench, kind: JobKind) -> tuple[str, int]:
    (row,) = bench.rows("SELECT state, attempts FROM jobs WHERE kind = :kind", kind=kind)
    return row["state"], row["attempts"]


def test_a_lost_lease_cancels_the_request(desk: Desk, study: UUID) -> None:
    cancelled = threading.Event()

    def answer(_request: Any, hooks: SimpleNamespace) -> Generated:
        desk.bench.context.heartbeat.running()[0].lost.set()
        desk.bench.eventually(hooks.cancelled, "the engine is told")
        cancelled.set()
        raise CancelledError

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert cancelled.wait(60)
    assert desk.bench.value("SELECT count(*) FROM summaries") == 0


def test_draining_hands_back_what_has_not_begun_and_finishes_what_has(desk: Desk) -> None:
    for number in range(2):
        desk.bench.settled(number)
    in_engine, go_on = threading.Event(), threading.Event()

    def answer(request: GenerationRequest, hooks: SimpleNamespace) -> Generated:
        if request.image_png == b"normalised image 0":
            hooks.on_progress()
            in_engine.set()
        else:
            desk.bench.context.draining.set()
            desk.bench.eventually(hooks.cancelled, "the engine is told to drop it")
            go_on.set()
            raise CancelledError
        assert go_on.wait(60)
        return generated("Normal chest.")

    desk.engine.answer = answer
    other = threading.Thread(target=run_one, args=(desk.bench.context, JobKind.SUMMARISE, desk.reader.summarise))
    other.start()
    assert in_engine.wait(60)
    desk.do(JobKind.SUMMARISE)
    other.join()
    rows = desk.bench.rows("SELECT state, attempts FROM jobs WHERE kind = 'summarise' ORDER BY id")
    assert rows == [{"state": "done", "attempts": 1}, {"state": "queued", "attempts": 0}]


def test_an_engine_that_is_gone_ends_the_process_and_costs_no_attempt(desk: Desk, study: UUID) -> None:
    def answer(_request: Any, _hooks: SimpleNamespace) -> Generated:
        raise Unavailable("the engine is closed")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert desk.stopped == [BROKEN]
    assert job(desk.bench, JobKind.SUMMARISE) == ("queued", 0)


def test_a_device_that_fails_everything_is_left_before_all_attempts_are_used(desk: Desk) -> None:
    for number in range(10):
        desk.bench.settled(number)

    def answer(_request: Any, _hooks: SimpleNamespace) -> Generated:
        raise RequestFailed("the model's numbers are not finite")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert desk.stopped == [BROKEN]
    assert desk.bench.value("SELECT max(attempts) FROM jobs WHERE kind = 'summarise'") == 1


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
    assert desk.stopped == [BROKEN] * 3
    assert job(desk.bench, JobKind.SUMMARISE)[1] == 3
    assert desk.bench.value("SELECT last_error FROM jobs WHERE kind = 'summarise'").startswith("DeviceLost: Accel")


def test_one_bad_item_fails_alone(desk: Desk) -> None:
    for number in range(4):
        desk.bench.settled(number)

    def answer(request: GenerationRequest, _hooks: SimpleNamespace) -> Generated:
        if request.image_png.endswith(b"1"):
            raise RequestFailed("bad item")
        return generated("Normal chest.")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert desk.stopped == []
    assert desk.bench.value("SELECT count(*) FROM summaries") == 3
    assert desk.bench.value("SELECT last_error FROM jobs WHERE last_error IS NOT NULL").startswith("RequestFailed")


def test_waiting_behind_others_is_no_stall_while_the_engine_moves(desk: Desk, study: UUID) -> None:
    moved = []

    def answer(_request: Any, hooks: SimpleNamespace) -> Generated:
        (progress,) = desk.bench.context.heartbeat.running()
        before = progress.moved
        hooks.on_progress()  # of whatever request is on the device
        desk.bench.eventually(lambda: progress.moved > before, "the waiting job's progress goes on")
        moved.append(True)
        return generated("Normal chest.")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    assert moved == [True]
