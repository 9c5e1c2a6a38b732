"""Senders take turns in a lane of the real ledger, from the films' pixels to their texts."""

from uuid import UUID

import pytest

from tests.support.ledger_tools import one, picture, put, rows, settle_now, study_of, take
from tests.support.study_steps import complete_ingest
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.backlogs.progress import add_page, create_backlog, listings
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.studies.register import ObjectRef, Registered, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane


@pytest.fixture
def flood(ledger: Ledger) -> Ledger:
    """The same ledger in the hands of a sender of many."""
    return ledger.acting(Actor("flood", key_id=UUID(int=1)))


@pytest.fixture
def clinic(ledger: Ledger) -> Ledger:
    """And of a sender of one."""
    return ledger.acting(Actor("clinic", key_id=UUID(int=2)))


def put_many(ledger: Ledger, name: str, count: int, lane: Lane = Lane.ROUTINE) -> list[Registered]:
    return register_objects(
        ledger, [ObjectRef("source", f"{name}-{n}", "e") for n in range(count)], lane, actor="gateway"
    )


def claimed(ledger: Ledger, kind: JobKind, lane: Lane, count: int) -> list[UUID]:
    return [claim.subject for claim in claim_next(ledger, [(kind, lane)], "worker", limit=count)]


@pytest.mark.parametrize("lane", list(Lane))
def test_fifty_films_of_one_sender_stand_before_nobody_else_s_one(
    ledger: Ledger, flood: Ledger, clinic: Ledger, lane: Lane
) -> None:
    many = [one.image_id for one in put_many(flood, "flood", 50, lane)]
    (good,) = put_many(clinic, "clinic", 1, lane)
    first = claimed(ledger, JobKind.INGEST, lane, 3)
    assert good.image_id in first[:2]
    assert claimed(ledger, JobKind.INGEST, lane, 60) == [one for one in many if one not in first]


def test_two_senders_of_many_take_turns(ledger: Ledger, flood: Ledger, clinic: Ledger) -> None:
    mine = {one.image_id for one in put_many(flood, "flood", 20)}
    put_many(clinic, "clinic", 20)
    turns = [one in mine for one in claimed(ledger, JobKind.INGEST, Lane.ROUTINE, 20)]
    assert sum(turns) == 10
    assert all(turns[at] != turns[at + 1] for at in range(19))


def test_films_that_were_read_keep_their_turn_until_they_are_summarised(
    ledger: Ledger, flood: Ledger, clinic: Ledger
) -> None:
    """The device is what films wait for: who has filled its queue does not keep it."""

    def read(some: list[Registered]) -> list[UUID]:
        for known in some:
            complete_ingest(ledger, take(ledger, JobKind.INGEST, known.image_id), picture())
            settle_now(ledger, known.study_id)
        return [study_of(ledger, known.image_id) for known in some]

    many = read(put_many(flood, "flood", 6))
    assert one(ledger, "SELECT count(*) FROM jobs WHERE kind = 'ingest' AND state = 'queued'") == 0
    (good,) = read(put_many(clinic, "clinic", 1))
    first = claimed(ledger, JobKind.SUMMARISE, Lane.ROUTINE, 2)
    assert good in first
    assert set(first) < {*many, good}


def test_a_thousand_that_are_raised_stand_before_nobody_in_their_new_lane(
    ledger: Ledger, flood: Ledger, clinic: Ledger
) -> None:
    put_many(flood, "flood", 30)
    put_many(flood, "flood", 30, Lane.STAT)
    (good,) = put_many(clinic, "clinic", 1, Lane.STAT)
    assert good.image_id in claimed(ledger, JobKind.INGEST, Lane.STAT, 2)


def test_two_backlogs_share_their_lane(ledger: Ledger) -> None:
    ids = [create_backlog(ledger, "source", f"{name}/", Lane.BACKLOG, None) for name in "ab"]
    for backlog_id, name in zip(ids, "ab", strict=True):
        listing = next(one for one in listings(ledger) if one.backlog_id == backlog_id)
        add_page(
            ledger, listing, [ObjectRef("source", f"{name}/{n}", "e") for n in range(20)], next_after=name, last=True
        )
    first = claimed(ledger, JobKind.INGEST, Lane.BACKLOG, 10)
    of = {row["image_id"]: row["backlog_id"] for row in rows(ledger, "SELECT image_id, backlog_id FROM backlog_images")}
    assert [sum(of[image] == one for image in first) for one in ids] == [5, 5]


def test_calls_of_two_senders_do_not_meet_in_one_transaction(ledger: Ledger, flood: Ledger, clinic: Ledger) -> None:
    """Whose act it is would be one of the two."""
    for mine in (flood, clinic):
        put(mine)
    names = [name for name in ledger._meetings if isinstance(name, tuple) and name[0] == "register"]
    assert len(names) == 2


def test_a_film_that_failed_keeps_its_place(ledger: Ledger, flood: Ledger, clinic: Ledger) -> None:
    (good,) = put_many(clinic, "clinic", 1)
    (mine,) = claim_next(ledger, [(JobKind.INGEST, Lane.ROUTINE)], "worker")
    put_many(flood, "flood", 10)
    fail(ledger, mine, "the bucket did not answer")
    with ledger.work() as work:
        work.run("UPDATE jobs SET not_before = NULL WHERE id = :id", {"id": mine.job_id})
    assert claimed(ledger, JobKind.INGEST, Lane.ROUTINE, 1) == [good.image_id]
