"""The promise of the ledger on a real server and a broken network: done once by the owner, or nothing written."""

import threading
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from tests.support.ledger_tools import (
    do,
    expire,
    film,
    ingest,
    job,
    new_summary,
    no_errors,
    one,
    put,
    rows,
    settle_now,
    start_summary,
    state_of,
    take,
    together,
)
from tests.support.lossy_proxy import LossyProxy
from tests.support.study_steps import complete_ingest, settle
from xraygpt_core.errors import LeaseLost, Refused, Unavailable
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.jobs.fence import fenced, fenced_many
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger, Work, open_ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, JobState, Lane

pytestmark = pytest.mark.usefixtures("sound")


@pytest.fixture
def proxy(database_url: str) -> Iterator[LossyProxy]:
    url = make_url(database_url)
    assert url.host is not None
    assert url.port is not None
    opened = LossyProxy(url.host, url.port)
    yield opened
    opened.close()


@pytest.fixture
def lossy(proxy: LossyProxy, database_url: str, make_settings: Callable[..., Settings]) -> Iterator[Ledger]:
    """A ledger whose way to the database may lose a commit."""
    url = make_url(database_url).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    opened = open_ledger(make_settings(database_url=SecretStr(url), lease_seconds=60.0))
    yield opened
    opened.close()


def mark(subject: UUID) -> Callable[[Work], str]:
    """A body that leaves exactly one trace each time it takes effect."""

    def body(work: Work) -> str:
        work.run(
            "INSERT INTO timeline (study_id, what, who) VALUES (:id, 'marked', 'test')",
            {"id": subject},
        )
        return "result"

    return body


def marks(ledger: Ledger) -> int:
    return int(one(ledger, "SELECT count(*) FROM timeline WHERE what = 'marked'"))


def test_the_owner_finishes_its_job_once(ledger: Ledger) -> None:
    registered = put(ledger)
    got = take(ledger, JobKind.SETTLE, ingest(ledger, registered))
    settle(ledger, got)
    with pytest.raises(LeaseLost):
        settle(ledger, got)
    assert one(ledger, "SELECT count(*) FROM jobs WHERE kind = 'summarise'") == 1


def test_a_zombie_changes_nothing_before_its_job_is_claimed_again(ledger: Ledger) -> None:
    registered = put(ledger)
    got = take(ledger, JobKind.INGEST, registered.image_id)
    expire(ledger, got.job_id)
    with pytest.raises(LeaseLost):
        fenced(ledger, got, mark(got.subject))
    assert marks(ledger) == 0
    assert job(ledger, got.job_id)["state"] == "running"


def test_a_zombie_changes_nothing_after_its_job_was_claimed_again(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    settle_now(ledger, study_id)
    zombie, given = start_summary(ledger, study_id)
    expire(ledger, zombie.job_id)
    owner = take(ledger, JobKind.SUMMARISE, study_id, "owner")
    with pytest.raises(LeaseLost):
        complete_summary(ledger, zombie, given, new_summary("the zombie's"))
    complete_summary(ledger, owner, given, new_summary("the owner's"))
    with pytest.raises(LeaseLost):
        complete_summary(ledger, zombie, given, new_summary("the zombie's"))
    assert [row["summary"] for row in rows(ledger, "SELECT summary FROM summaries")] == ["the owner's"]


def test_a_zombie_changes_nothing_after_its_job_was_queued_again(ledger: Ledger) -> None:
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)
    expire(ledger, got.job_id)
    assert tick(ledger).requeued == 1
    with pytest.raises(LeaseLost):
        complete_ingest(ledger, got, film())


def test_what_the_body_wrote_goes_when_it_raises(ledger: Ledger) -> None:
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)

    def body(work: Work) -> None:
        mark(got.subject)(work)
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        fenced(ledger, got, body)
    assert marks(ledger) == 0
    assert job(ledger, got.job_id)["state"] == "running"


def test_a_commit_that_never_arrived_is_repeated(lossy: Ledger, proxy: LossyProxy) -> None:
    got = take(lossy, JobKind.INGEST, put(lossy).image_id)
    proxy.lose("commit")
    assert fenced(lossy, got, mark(got.subject), finish=JobState.CANCELLED) == "result"
    assert proxy.lost == 1
    assert marks(lossy) == 1
    assert job(lossy, got.job_id)["state"] == "cancelled"
    do(lossy, "UPDATE images SET state = 'cancelled'")
    do(lossy, "UPDATE studies SET state = 'cancelled'")


def test_a_commit_that_landed_without_a_word_is_not_repeated(lossy: Ledger, proxy: LossyProxy) -> None:
    study_id = ingest(lossy, put(lossy))
    settle_now(lossy, study_id)
    got, given = start_summary(lossy, study_id)
    proxy.lose("confirmation")
    summary_id = complete_summary(lossy, got, given, new_summary())
    assert proxy.lost == 1
    assert [row["id"] for row in rows(lossy, "SELECT id FROM summaries")] == [summary_id]
    assert state_of(lossy, study_id) == "summarised"


def test_several_lost_commits_in_a_row_are_survived(lossy: Ledger, proxy: LossyProxy) -> None:
    study_id = ingest(lossy, put(lossy))
    settle_now(lossy, study_id)
    got, given = start_summary(lossy, study_id)
    proxy.lose("commit", times=2)
    complete_summary(lossy, got, given, new_summary())
    assert proxy.lost == 2
    assert one(lossy, "SELECT count(*) FROM summaries") == 1


def test_a_failure_whose_commit_never_arrived_is_recorded_once(lossy: Ledger, proxy: LossyProxy) -> None:
    got = take(lossy, JobKind.INGEST, put(lossy).image_id)
    proxy.lose("commit")
    assert fail(lossy, got, "no") is JobState.QUEUED
    assert job(lossy, got.job_id)["attempts"] == 1


def test_a_registration_whose_commit_was_lost_tells_the_caller_to_try_again(lossy: Ledger, proxy: LossyProxy) -> None:
    proxy.lose("confirmation")
    with pytest.raises(Unavailable):
        put(lossy, "a")
    assert not put(lossy, "a").new


def test_a_backend_ended_in_the_middle_of_its_work_leaves_nothing_and_the_work_is_repeated(ledger: Ledger) -> None:
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)
    runs: list[int] = []

    def body(work: Work) -> None:
        mark(got.subject)(work)
        runs.append(work.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(runs) == 1:
            do(ledger, "SELECT pg_terminate_backend(:pid, 5000)", pid=runs[0])

    fenced(ledger, got, body, finish=JobState.QUEUED)
    assert len(runs) == 2
    assert marks(ledger) == 1
    do(ledger, "UPDATE jobs SET finished_at = NULL")


def only_reading(work: Work) -> None:
    """The server refuses to write from now on, as one does whose disk is full."""
    work.run("SET LOCAL transaction_read_only = on")


def test_what_the_server_refuses_is_not_written_and_not_asked_again_at_once(ledger: Ledger) -> None:
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)
    runs: list[int] = []

    def body(work: Work) -> None:
        runs.append(1)
        only_reading(work)
        mark(got.subject)(work)

    with pytest.raises(Refused, match="ReadOnlySqlTransaction"):
        fenced(ledger, got, body)
    with pytest.raises(Refused, match="ReadOnlySqlTransaction"):
        fenced_many(ledger, [got], lambda work, _: body(work))
    assert len(runs) == 2
    assert job(ledger, got.job_id)["state"] == "running"


def test_a_refusal_while_a_commit_is_in_doubt_does_not_hide_what_became_of_it(lossy: Ledger, proxy: LossyProxy) -> None:
    got = take(lossy, JobKind.INGEST, put(lossy).image_id)
    runs: list[int] = []

    def body(work: Work) -> None:
        runs.append(1)
        if len(runs) == 2:
            only_reading(work)
        mark(got.subject)(work)

    proxy.lose("commit")
    fenced(lossy, got, body, finish=JobState.QUEUED)
    assert (proxy.lost, len(runs), marks(lossy)) == (1, 3, 1)
    do(lossy, "UPDATE jobs SET finished_at = NULL")


def test_a_lease_that_ends_while_the_server_is_away_writes_nothing(
    ledger: Ledger, lossy: Ledger, proxy: LossyProxy
) -> None:
    got = take(lossy, JobKind.INGEST, put(lossy).image_id)
    proxy.lose("commit")
    proxy.meanwhile = lambda: expire(ledger, got.job_id)
    with pytest.raises(LeaseLost):
        fenced(lossy, got, mark(got.subject))
    assert marks(ledger) == 0


def test_the_victim_of_a_deadlock_runs_again(ledger: Ledger) -> None:
    """Two jobs lock the same two rows in opposite order: PostgreSQL ends one, and it simply repeats. It may be quick
    enough to take its first row again before the other one wakes up: then once more.
    """
    first, second = (take(ledger, JobKind.INGEST, put(ledger).image_id) for _ in range(2))
    studies = [row["id"] for row in rows(ledger, "SELECT id FROM studies ORDER BY id")]
    both_hold_one = threading.Barrier(2, timeout=60)
    runs: list[int] = []

    def body(order: list[UUID]) -> Callable[[Work], None]:
        def locks(work: Work) -> None:
            runs.append(1)
            work.run("SELECT FROM studies WHERE id = :id FOR UPDATE", {"id": order[0]})
            if len(runs) <= 2:
                both_hold_one.wait()
            work.run("SELECT FROM studies WHERE id = :id FOR UPDATE", {"id": order[1]})

        return locks

    no_errors(
        together(
            lambda: fenced(ledger, first, body(studies), finish=None),
            lambda: fenced(ledger, second, body(studies[::-1]), finish=None),
        )
    )
    assert len(runs) >= 3


def test_a_lost_connection_that_is_free_of_work_costs_one_attempt_at_most(ledger: Ledger) -> None:
    put(ledger)
    do(
        ledger,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    assert len(claim_next(ledger, [(JobKind.INGEST, Lane.ROUTINE)], "w")) == 1
