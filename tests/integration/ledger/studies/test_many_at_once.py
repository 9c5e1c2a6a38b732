"""Many jobs in one transaction end as they would have ended one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    do,
    expire,
    film,
    image_state,
    job,
    new_summary,
    no_errors,
    one,
    picture,
    put,
    rows,
    start_summary,
    state_of,
    study_of,
    take,
    together,
)
from tests.support.lossy_proxy import Losing, LossyProxy
from xraygpt_core.db import Database
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs import fence
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.studies.settle import settle_many
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")

INGEST = [(JobKind.INGEST, lane) for lane in Lane]
SETTLE = [(JobKind.SETTLE, lane) for lane in Lane]
SUMMARISE = [(JobKind.SUMMARISE, lane) for lane in Lane]


def read(ledger: Ledger, *images: object) -> list[Claim]:
    """Register, claim and read so many images in one transaction."""
    for _ in images:
        put(ledger)
    claims = claim_next(ledger, INGEST, "w", limit=len(images))
    finished = complete_ingests(ledger, list(zip(claims, images, strict=True)))  # type: ignore[arg-type]
    assert finished == {claim.job_id for claim in claims}
    return claims


def settled(ledger: Ledger, count: int) -> list[UUID]:
    """So many studies that wait for their summaries."""
    read(ledger, *[film(f"u{number}") for number in range(count)])
    claims = claim_next(ledger, SETTLE, "w", limit=count)
    assert settle_many(ledger, claims) == {claim.job_id for claim in claims}
    return [claim.subject for claim in claims]


def test_the_oldest_jobs_of_the_most_urgent_queue_come_first(ledger: Ledger) -> None:
    old = [put(ledger, lane=Lane.BACKLOG).image_id for _ in range(3)]
    new = [put(ledger, lane=Lane.STAT).image_id for _ in range(2)]
    claims = claim_next(ledger, INGEST, "w", limit=4)
    assert [claim.subject for claim in claims] == [*new, *old[:2]]
    assert [claim.epoch for claim in claims] == [1] * 4


def test_two_who_claim_at_once_share_nothing(ledger: Ledger) -> None:
    register_objects(ledger, [ObjectRef("source", f"k{n}", "e") for n in range(40)], Lane.BACKLOG, actor="test")
    taken = no_errors(together(*[lambda: claim_next(ledger, INGEST, "w", limit=16)] * 4))
    ids = [claim.job_id for claims in taken for claim in claims]
    assert len(ids) == len(set(ids)) >= 16
    assert one(ledger, "SELECT max(attempts) FROM jobs") == 1


def test_a_claim_of_many_stands_on_every_timeline(ledger: Ledger) -> None:
    images = [put(ledger).image_id for _ in range(3)]
    claim_next(ledger, INGEST, "w", limit=3)
    told = rows(ledger, "SELECT image_id, who, epoch FROM timeline WHERE what = 'ingest started' ORDER BY image_id")
    assert [(row["image_id"], row["who"], row["epoch"]) for row in told] == [(image, "w", 1) for image in images]


def test_a_claim_of_many_is_told_in_the_order_of_the_work_however_the_rows_lie(ledger: Ledger) -> None:
    images = [put(ledger).image_id for _ in range(3)]
    urgent = put(ledger, lane=Lane.STAT).image_id
    do(ledger, "UPDATE jobs SET max_attempts = max_attempts WHERE subject = :image", image=images[0])
    do(ledger, "ANALYZE jobs")
    claim_next(ledger, INGEST, "w", limit=4)
    told = rows(ledger, "SELECT image_id FROM timeline WHERE what = 'ingest started' ORDER BY id")
    assert [row["image_id"] for row in told] == [urgent, *images]


def test_images_of_many_studies_are_read_in_one_transaction(ledger: Ledger) -> None:
    claims = read(ledger, *[film(f"u{number}") for number in range(5)])
    assert {state_of(ledger, study_of(ledger, claim.subject)) for claim in claims} == {"waiting"}
    assert one(ledger, "SELECT count(DISTINCT xmin::text) FROM images") == 1
    assert one(ledger, "SELECT count(*) FROM jobs WHERE kind = 'settle' AND state = 'queued'") == 5


def test_two_images_of_one_study_find_each_other_in_the_same_transaction(ledger: Ledger) -> None:
    claims = read(ledger, film("u1"), film("u2"), film("u1", view="LATERAL"))
    first, other, second = [study_of(ledger, claim.subject) for claim in claims]
    assert first == second != other
    assert one(ledger, "SELECT revision FROM studies WHERE id = :id", id=first) == 2


def test_a_plain_image_beside_one_that_belongs_to_a_known_study(ledger: Ledger) -> None:
    (known,) = read(ledger, film("u1"))
    claims = read(ledger, film("u2"), film("u1", sop_pseudonym="another"), picture())
    assert study_of(ledger, claims[1].subject) == study_of(ledger, known.subject)
    assert {image_state(ledger, claim.subject)[0] for claim in claims} == {"accepted"}


def test_an_overwritten_object_in_the_batch_replaces_its_former_content(ledger: Ledger) -> None:
    old = put(ledger, "same", "e1")
    complete_ingests(ledger, [(take(ledger, JobKind.INGEST, old.image_id), film("u1"))])
    put(ledger, "same", "e2")
    put(ledger, "other", "e1")
    claims = claim_next(ledger, INGEST, "w", limit=2)
    complete_ingests(ledger, [(claims[0], film("u1")), (claims[1], film("u2"))])
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    assert [image_state(ledger, claim.subject)[0] for claim in claims] == ["accepted", "accepted"]


def test_who_lost_its_lease_is_left_out_and_the_others_are_written(ledger: Ledger) -> None:
    for _ in range(3):
        put(ledger)
    claims = claim_next(ledger, INGEST, "w", limit=3)
    expire(ledger, claims[1].job_id)
    finished = complete_ingests(ledger, [(claim, film(f"u{claim.job_id}")) for claim in claims])
    assert finished == {claims[0].job_id, claims[2].job_id}
    assert image_state(ledger, claims[1].subject) == ("received", None)
    assert job(ledger, claims[1].job_id)["state"] == "running"


def test_nobody_left_in_a_batch_writes_nothing(ledger: Ledger) -> None:
    put(ledger)
    (claim,) = claim_next(ledger, INGEST, "w")
    expire(ledger, claim.job_id)
    assert complete_ingests(ledger, [(claim, film("u1"))]) == set()
    assert settle_many(ledger, []) == set()


def test_studies_are_settled_together_each_in_its_own_way(ledger: Ledger) -> None:
    read(ledger, film("u1"), film("u2", view="LATERAL"), picture())
    claims = claim_next(ledger, SETTLE, "w", limit=3)
    assert len(settle_many(ledger, claims)) == 3
    assert [state_of(ledger, claim.subject) for claim in claims] == ["queued", "rejected", "queued"]
    assert one(ledger, "SELECT count(*) FROM jobs WHERE kind = 'summarise' AND state = 'queued'") == 2


def test_of_two_revisions_of_a_study_only_the_newer_one_speaks(ledger: Ledger) -> None:
    read(ledger, film("u1"))
    read(ledger, film("u1", view="LATERAL"))
    claims = claim_next(ledger, SETTLE, "w", limit=2)
    assert len({claim.subject for claim in claims}) == 1
    assert len(settle_many(ledger, claims)) == 2
    keys = rows(ledger, "SELECT split_part(key, ':', 2) AS revision FROM jobs WHERE kind = 'summarise'")
    assert keys == [{"revision": "2"}]


def test_threads_that_finish_at_once_each_keep_their_own_summary(ledger: Ledger) -> None:
    studies = settled(ledger, 12)
    begun = [start_summary(ledger, study_id) for study_id in studies]
    calls = [
        lambda got=got, given=given: complete_summary(ledger, got, given, new_summary(f"about {given.study_id}"))
        for got, given in begun
    ]
    ids = no_errors(together(*calls))
    told = {row["id"]: row["summary"] for row in rows(ledger, "SELECT id, summary FROM summaries")}
    assert [told[one] for one in ids] == [f"about {study_id}" for study_id in studies]
    assert {state_of(ledger, study_id) for study_id in studies} == {"summarised"}


def test_a_zombie_among_them_is_refused_and_the_others_are_not(ledger: Ledger) -> None:
    begun = [start_summary(ledger, study_id) for study_id in settled(ledger, 6)]
    expire(ledger, begun[2][0].job_id)
    results = together(*[lambda b=b: complete_summary(ledger, *b, new_summary()) for b in begun])
    assert [isinstance(result, LeaseLost) for result in results] == [place == 2 for place in range(6)]
    assert one(ledger, "SELECT count(*) FROM summaries") == 5


def test_a_text_the_database_cannot_keep_fails_alone(ledger: Ledger) -> None:
    begun = [start_summary(ledger, study_id) for study_id in settled(ledger, 6)]
    texts = ["\0" if place == 3 else "clear lungs" for place in range(6)]
    results = together(
        *[lambda b=b, t=t: complete_summary(ledger, *b, new_summary(t)) for b, t in zip(begun, texts, strict=True)]
    )
    assert [isinstance(result, Exception) for result in results] == [place == 3 for place in range(6)]


@contextmanager
def shaky_connection(ledger: Ledger, what: Losing) -> Iterator[Ledger]:
    """The ledger through a connection that loses its next commit, or the confirmation of it."""
    url = ledger.settings.database_url.get_secret_value()
    host, port = url.rpartition("@")[2].partition("/")[0].split(":")
    proxy = LossyProxy(host, int(port))
    shaky = Ledger(ledger.settings, Database(url.replace(f":{port}/", f":{proxy.port}/")), ledger.doorbell)
    proxy.lose(what)
    try:
        yield shaky
        assert proxy.lost == 1
    finally:
        shaky.database.close()
        proxy.close()


def four_claims(ledger: Ledger) -> list[Claim]:
    for _ in range(4):
        put(ledger)
    return claim_next(ledger, INGEST, "w", limit=4)


def assert_done_once(ledger: Ledger, claims: list[Claim], finished: set[UUID]) -> None:
    assert finished == {claim.job_id for claim in claims}
    assert one(ledger, "SELECT count(*) FROM images WHERE state = 'accepted'") == 4
    assert one(ledger, "SELECT count(*) FROM timeline WHERE what = 'image accepted'") == 4


@pytest.mark.parametrize("what", ["confirmation", "commit"])
def test_a_lost_commit_of_many_is_neither_lost_nor_done_twice(ledger: Ledger, what: Losing) -> None:
    claims = four_claims(ledger)
    with shaky_connection(ledger, what) as shaky:
        finished = complete_ingests(shaky, [(claim, film(f"u{claim.job_id}")) for claim in claims])
    assert_done_once(ledger, claims, finished)


@pytest.mark.parametrize("blind", [1, 3, 4, 6])
def test_a_commit_that_arrives_after_some_looks_counts_for_all(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, blind: int
) -> None:
    """As many looks as are ``blind`` find nothing yet: fewer than there are jobs, or the whole first round."""
    looks, look = iter(range(100)), fence._is_committed
    monkeypatch.setattr(fence, "_is_committed", lambda *asked: next(looks) >= blind and look(*asked))
    claims = four_claims(ledger)
    with shaky_connection(ledger, "confirmation") as shaky:
        finished = complete_ingests(shaky, [(claim, film(f"u{claim.job_id}")) for claim in claims])
    assert_done_once(ledger, claims, finished)
