"""Every interleaving of two workers and a reconciler over one job, on the real database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import expire, job, job_of, rows
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs.claims import claim_next, fail, heartbeat, release
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.training.runs import complete_run, create_run
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

Steps = Iterator[None]

# Steps of worker a (claim, heartbeat, complete), of worker b (claim, end) and of the reconciler (expire, tick).
WITH_A_BEAT = (3, 2, 2)


@dataclass
class World:
    """One job and what is true about it, step by step."""

    ledger: Ledger
    job_id: UUID
    run_id: UUID
    owner: int | None = None  # the epoch whose lease lives
    results: list[str] = field(default_factory=list)

    def claim(self, name: str) -> Claim | None:
        got = next(iter(claim_next(self.ledger, [(JobKind.TRAIN, Lane.ROUTINE)], name)), None)
        if got is not None:
            assert self.owner is None, "a job with a living lease was given away"
            self.owner = got.epoch
        return got

    def owned(self, got: Claim, act: Callable[[], Any]) -> bool:
        """Do something only the owner may do; it must work exactly for the owner."""
        mine = self.owner == got.epoch
        try:
            act()
        except LeaseLost:
            assert not mine, "the owner was turned away"
            return False
        assert mine, "a zombie was let in"
        self.owner = None
        return True


def worker(world: World, name: str, ending: str, *, beats: bool) -> Steps:
    got = world.claim(name)
    yield
    if beats:
        if got is not None:
            assert (got.job_id in heartbeat(world.ledger, [got])) == (world.owner == got.epoch)
        yield
    if got is None:
        return
    match ending:
        case "complete":
            if world.owned(got, lambda: complete_run(world.ledger, got, f"by {name}")):
                world.results.append(f"by {name}")
        case "fail":
            world.owned(got, lambda: fail(world.ledger, got, f"{name} failed"))
        case "release":
            world.owned(got, lambda: release(world.ledger, got))
    yield


def reconciler(world: World) -> Steps:
    expire(world.ledger, world.job_id)
    world.owner = None
    yield
    tick(world.ledger)
    yield


def schedules(counts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every order in which so many steps of each actor can follow one another."""
    if not any(counts):
        yield ()
        return
    for actor, left in enumerate(counts):
        if left:
            rest = tuple(count - (place == actor) for place, count in enumerate(counts))
            for tail in schedules(rest):
                yield (actor, *tail)


def play(ledger: Ledger, order: tuple[int, ...], ending: str) -> None:
    run_id = create_run(ledger, "stage1", {}, None)
    world = World(ledger, job_of(ledger, JobKind.TRAIN, run_id), run_id)
    beats = len(order) == sum(WITH_A_BEAT)
    actors = [worker(world, "a", "complete", beats=beats), worker(world, "b", ending, beats=False), reconciler(world)]
    epochs = [0]
    for actor in order:
        next(actors[actor], None)
        epochs.append(job(ledger, world.job_id)["lease_epoch"])
    assert epochs == sorted(epochs)
    finish(world)
    (run,) = rows(ledger, "SELECT state, result_prefix FROM training_runs WHERE id = :id", id=run_id)
    assert (run["state"], [run["result_prefix"]]) == ("done", world.results)


def finish(world: World) -> None:
    """Whatever is left open is done by somebody: nothing is lost, and nothing is done twice."""
    if job(world.ledger, world.job_id)["state"] == "running":
        expire(world.ledger, world.job_id)
        world.owner = None
    tick(world.ledger)
    last = world.claim("last")
    if last is None:
        assert job(world.ledger, world.job_id)["state"] == "done"
    elif world.owned(last, lambda: complete_run(world.ledger, last, "by last")):
        world.results.append("by last")
    assert len(world.results) == 1


@pytest.mark.parametrize(
    ("ending", "steps", "count"), [("complete", WITH_A_BEAT, 210), ("fail", (2, 2, 2), 90), ("release", (2, 2, 2), 90)]
)
def test_in_every_order_the_work_is_done_once_and_only_by_its_owner(
    ledger: Ledger, ending: str, steps: tuple[int, ...], count: int
) -> None:
    orders = list(schedules(steps))
    assert len(orders) == len(set(orders)) == count
    for order in orders:
        try:
            play(ledger, order, ending)
        except AssertionError as error:
            raise AssertionError(f"in the order {order}: {error}") from error
