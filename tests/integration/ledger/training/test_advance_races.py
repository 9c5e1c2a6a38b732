"""Runs that share shards come on while workers end, fail and lose their jobs, and people cancel, pause and replay them.

Nothing deadlocks beyond what is repeated, and when all is quiet every run has ended: none is forgotten on the way.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from uuid import UUID

import pytest

from tests.support.ledger_tools import do, picture, put, rows, take
from tests.support.study_steps import complete_ingest
from xraygpt_core.errors import Conflict, LeaseLost, TrainingError
from xraygpt_core.ledger.jobs.claims import claim_next, fail, release
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.features import (
    complete_features,
    features_input,
    leave_features,
    load_encoder_digest,
)
from xraygpt_core.ledger.training.plan import Plan, PlannedShard, complete_plan, plan_input
from xraygpt_core.ledger.training.runs import cancel_run, complete_run, create_run, run_input
from xraygpt_core.ledger.training.shards import Outcome, complete_shard, note_images, shard_input
from xraygpt_core.ledger.training.waiting import pause_run, resume_run
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")

_ENCODERS = ("first", "second")
_KINDS = (JobKind.PLAN, JobKind.PREPARE, JobKind.ENCODE, JobKind.TRAIN)
_QUEUES = [(kind, lane) for kind in _KINDS for lane in Lane]
_CONFIG = {"mixture": {"sets": [{"name": "a", "reader": "manifest", "path": "a"}]}}
_EXPIRE = "UPDATE jobs SET lease_until = clock_timestamp() WHERE id = :id AND state = 'running'"
_SIGNED = 7  # and above: shards of signed studies
_FILMS = 3  # of a shard


def shard(number: int) -> PlannedShard:
    if number >= _SIGNED:  # of studies that are purged meanwhile
        films = tuple(f"film-{number}-{place}" for place in range(_FILMS))
        return PlannedShard(f"shard-{number}", _FILMS, signed=films, pairs=tuple({"text": one} for one in films))
    return PlannedShard(f"shard-{number}", _FILMS, addresses_key=f"addresses-{number}", texts_key=f"texts-{number}")


def do_plan(ledger: Ledger, claim: Claim, random: Random) -> None:
    plan_input(ledger, claim)
    numbers = random.sample(range(10), random.randint(1, 6))
    complete_plan(ledger, claim, Plan(random.choice(_ENCODERS), tuple(shard(number) for number in numbers)))


def do_prepare(ledger: Ledger, claim: Claim, random: Random) -> None:
    given = shard_input(ledger, claim)
    note_images(ledger, claim, {position: Outcome(sha256=f"{given.shard_id}-{position}") for position in given.open})
    complete_shard(ledger, claim)


def do_encode(ledger: Ledger, claim: Claim, random: Random) -> None:
    given = features_input(ledger, claim)
    if random.random() < 0.7:
        complete_features(ledger, claim, given, "+".join(given.images))
    else:
        leave_features(ledger, claim)


def do_train(ledger: Ledger, claim: Claim, random: Random) -> None:
    if run_input(ledger, claim).paused:
        release(ledger, claim)
    else:
        complete_run(ledger, claim, f"runs/{claim.subject}")


_DO: dict[JobKind, Callable[[Ledger, Claim, Random], None]] = dict(
    zip(_KINDS, (do_plan, do_prepare, do_encode, do_train), strict=True)
)


def work_once(ledger: Ledger, random: Random, trouble: float) -> bool:
    claims = claim_next(ledger, random.sample(_QUEUES, len(_QUEUES)), "w", limit=1)
    for claim in claims:
        with suppress(LeaseLost):
            luck = random.random()
            if luck < trouble:
                fail(ledger, claim, "it failed", retry=luck < trouble / 2)
            elif luck < 1.5 * trouble:
                release(ledger, claim)
            elif luck < 1.7 * trouble:
                do(ledger, _EXPIRE, id=claim.job_id)
            else:
                try:
                    _DO[claim.kind](ledger, claim, random)
                except TrainingError:  # a film of it was purged at this moment
                    fail(ledger, claim, "it failed")
    return bool(claims)


def act_once(ledger: Ledger, random: Random, runs: list[UUID]) -> None:
    run_id = random.choice(runs)
    with suppress(Conflict):
        match random.randrange(6):
            case 0:
                cancel_run(ledger, run_id)
            case 1:
                pause_run(ledger, run_id)
            case 2:
                resume_run(ledger, run_id)
            case 3:
                replay_dead(ledger)
            case 4:
                load_encoder_digest(ledger, random.choice(_ENCODERS))
            case 5:
                runs.append(create_run(ledger, "stage1", _CONFIG, None))


def in_threads(acts: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []

    def guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001  # raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def make_quiet(ledger: Ledger, runs: list[UUID], random: Random) -> None:
    """All that waits for a person or for time is over; then whatever is queued is done."""
    for run_id in runs:
        with suppress(Conflict):
            resume_run(ledger, run_id)
    for _ in range(500):
        do(ledger, "UPDATE jobs SET not_before = NULL WHERE state = 'queued'")
        do(ledger, "UPDATE jobs SET lease_until = clock_timestamp() WHERE state = 'running'")
        tick(ledger)
        again = replay_dead(ledger)
        worked = [work_once(ledger, random, 0.0) for _ in range(20)]
        if not any(worked) and not again:
            return
    raise AssertionError("the queue never becomes empty")


def signed_studies(ledger: Ledger) -> list[UUID]:
    """One study for each film of the shards of signed studies."""
    studies = []
    for name in (one for number in range(_SIGNED, 10) for one in shard(number).signed):
        known = put(ledger)
        complete_ingest(ledger, take(ledger, JobKind.INGEST, known.image_id), picture(normalised_sha256=name))
        studies.append(known.study_id)
    return studies


@pytest.mark.parametrize("seed", range(2))
def test_every_run_ends_whatever_happened_at_the_same_moment(ledger: Ledger, seed: int) -> None:
    runs = [create_run(ledger, "stage1", _CONFIG, None) for _ in range(6)]
    load_encoder_digest(ledger, "first")

    studies = signed_studies(ledger)

    def purge() -> None:
        for study_id in studies[::2]:
            time.sleep(0.05)
            purge_study(ledger, study_id, lambda key: None)

    def worker(number: int) -> Callable[[], None]:
        random = Random(f"{seed} worker {number}")
        return lambda: [work_once(ledger, random, 0.15) for _ in range(60)] and None

    def person(number: int) -> Callable[[], None]:
        random = Random(f"{seed} person {number}")
        return lambda: [act_once(ledger, random, runs) for _ in range(25)] and None

    in_threads([worker(number) for number in range(4)] + [person(number) for number in range(2)] + [purge])
    make_quiet(ledger, runs, Random(seed))
    films = [film for number in range(_SIGNED, 10) for film in shard(number).signed]
    kept = rows(ledger, "SELECT sha256 AS film FROM training_images WHERE sha256 IS NOT NULL")
    kept += rows(ledger, "SELECT pair ->> 'text' AS film FROM training_texts")
    kept += rows(ledger, "SELECT unnest(string_to_array(key, '+')) AS film FROM training_features")
    assert not {one["film"] for one in kept} & set(films[::2])  # purged
    left = rows(
        ledger, "SELECT id, state, paused_at, problem FROM training_runs WHERE state NOT IN ('done', 'cancelled')"
    )
    assert left == []
