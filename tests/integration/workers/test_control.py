"""Control: ticks, sweeps, backlogs and retention, on real services."""

import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from tests.support.audit_tools import act
from tests.support.worker_bench import Bench
from workers import sweep
from workers.control import Control
from workers.sweep import list_backlogs, retain, sweep_bucket
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import backlog, create_backlog
from xraygpt_core.ledger.preflight import installed_at
from xraygpt_core.metrics import MISSED_BY_EVENT
from xraygpt_core.queue import CONTROL_QUEUE, make_celery
from xraygpt_core.states import JobKind, Lane

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two, so that a handful of objects needs several."""
    monkeypatch.setattr(sweep, "PAGE", 2)


def now() -> datetime:
    return datetime.now(UTC)


def swept(bench: Bench, since: datetime = LONG_AGO, until: datetime | None = None) -> int:
    return sweep_bucket(bench.ledger, bench.store, since, until or now() + HOUR).missed


def test_a_sweep_registers_what_no_event_announced_and_counts_it(bench: Bench) -> None:
    before = MISSED_BY_EVENT._value.get()
    known = bench.register("incoming/known.dcm", b"known")
    for number in range(4):
        bench.upload(f"incoming/{number}.dcm", b"missed %d" % number)
    assert swept(bench) == 4
    assert MISSED_BY_EVENT._value.get() - before == 4
    assert bench.value("SELECT count(*) FROM images") == 5
    assert swept(bench) == 0
    registered = bench.rows("SELECT image_id, who FROM timeline WHERE what = 'registered' ORDER BY id")
    assert registered[0]["image_id"] == known.image_id
    assert {row["who"] for row in registered[1:]} == {"sweep"}


def test_a_sweep_leaves_alone_what_is_older_or_too_young(bench: Bench) -> None:
    bench.upload("incoming/a.dcm", b"a film")
    assert swept(bench, since=now() + HOUR) == 0
    assert swept(bench, until=now() - HOUR) == 0


def test_a_sweep_takes_no_folder_for_a_film(bench: Bench) -> None:
    bench.client.put_object(Bucket=bench.settings.bucket, Key="incoming/", Body=b"")
    assert swept(bench) == 0


def test_what_was_in_the_bucket_before_us_is_a_backlogs_work(bench: Bench) -> None:
    bench.upload("incoming/a.dcm", b"a film")
    with bench.ledger.work() as work:
        work.run("UPDATE installation SET created_at = clock_timestamp() + interval '1 hour'")
    assert swept(bench, since=installed_at(bench.ledger)) == 0


def test_a_backlog_is_listed_page_by_page_to_its_end(bench: Bench) -> None:
    for number in range(5):
        bench.upload(f"old/{number}.dcm", b"film %d" % number)
    bench.upload("other/0.dcm", b"not of this backlog")
    backlog_id = create_backlog(bench.ledger, bench.settings.bucket, "old/", Lane.BACKLOG, None)
    assert list_backlogs(bench.ledger, bench.store) == 5
    listed = backlog(bench.ledger, backlog_id)
    assert (listed.state, listed.listed, listed.registered, listed.open) == ("listed", 5, 5, 5)
    assert list_backlogs(bench.ledger, bench.store) == 0


def test_a_backlog_listed_again_registers_nothing_twice(bench: Bench) -> None:
    for number in range(3):
        bench.upload(f"old/{number}.dcm", b"film %d" % number)
    for _ in range(2):
        create_backlog(bench.ledger, bench.settings.bucket, "old/", Lane.BACKLOG, None)
        list_backlogs(bench.ledger, bench.store)
    assert bench.value("SELECT count(*) FROM images") == 3


def test_a_backlog_since_a_moment_leaves_older_films(bench: Bench) -> None:
    bench.upload("old/0.dcm", b"film")
    backlog_id = create_backlog(bench.ledger, bench.settings.bucket, "old/", Lane.BACKLOG, now() + HOUR)
    list_backlogs(bench.ledger, bench.store)
    assert backlog(bench.ledger, backlog_id).registered == 0


def test_a_backlog_of_nothing_ends(bench: Bench) -> None:
    backlog_id = create_backlog(bench.ledger, bench.settings.bucket, "nothing/", Lane.BACKLOG, None)
    list_backlogs(bench.ledger, bench.store)
    assert backlog(bench.ledger, backlog_id).state == "done"


def test_a_paused_backlog_is_not_listed(bench: Bench) -> None:
    bench.upload("old/0.dcm", b"film")
    backlog_id = create_backlog(bench.ledger, bench.settings.bucket, "old/", Lane.BACKLOG, None)
    change_backlog(bench.ledger, backlog_id, "pause")
    assert list_backlogs(bench.ledger, bench.store) == 0
    change_backlog(bench.ledger, backlog_id, "resume")
    assert list_backlogs(bench.ledger, bench.store) == 1


def test_a_bucket_that_refuses_is_told_and_keeps_no_other_backlog_from_being_listed(bench: Bench) -> None:
    bench.upload("old/0.dcm", b"film")
    refused = create_backlog(bench.ledger, "there-is-no-such-bucket", "old/", Lane.BACKLOG, None)
    create_backlog(bench.ledger, bench.settings.bucket, "old/", Lane.BACKLOG, None)
    assert list_backlogs(bench.ledger, bench.store) == 1
    told = backlog(bench.ledger, refused)
    assert (told.state, told.problem) == ("listing", "the bucket refuses (NoSuchBucket)")


def test_what_is_too_old_is_purged_with_its_derived_objects(bench: Bench) -> None:
    settings = bench.settings.model_copy(update={"retention_days": 30})
    ledger = type(bench.ledger)(settings, bench.ledger.database, bench.ledger.doorbell)
    old, young = bench.settled(1), bench.settled(2)
    with bench.ledger.work() as work:
        work.run("UPDATE studies SET received_at = received_at - interval '31 days' WHERE id = :id", {"id": old})
    assert retain(ledger, bench.store) == 1
    assert bench.value("SELECT purged_at IS NOT NULL FROM studies WHERE id = :id", id=old)
    (left,) = bench.keys(bench.settings.derived_bucket)
    assert left == bench.value("SELECT normalised_key FROM images WHERE study_id = :id", id=young)
    assert retain(ledger, bench.store) == 0


def control_of(bench: Bench, **changes: Any) -> tuple[Control, Any]:
    app = make_celery(bench.settings)
    context = type(bench.context)(
        bench.settings.model_copy(update=changes), bench.ledger, bench.store, bench.context.heartbeat, "test"
    )
    return Control(context, app), app


def test_the_schedule_holds_what_the_settings_ask_for(bench: Bench) -> None:
    _, app = control_of(bench, sweep_seconds=300.0, retention_days=30, tick_seconds=0.5)
    assert set(app.conf.beat_schedule) == {"tick", "list", "forget", "rollup", "sweep", "retain"}
    assert app.conf.beat_schedule["tick"]["schedule"] == 0.5
    assert {entry["options"]["queue"] for entry in app.conf.beat_schedule.values()} == {CONTROL_QUEUE}
    _, app = control_of(bench, sweep_seconds=0.0)
    assert set(app.conf.beat_schedule) == {"tick", "list", "forget", "rollup"}


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_a_sweep_finds_what_was_missed_although_its_clock_is_wrong(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """Behind, it finds it once its clock has come that far; ahead, at once. Nothing is passed over for good."""
    clock = [now() + ahead]

    class Clock:
        @staticmethod
        def now(_zone: object) -> datetime:
            return clock[0]

    monkeypatch.setattr("workers.control.datetime", Clock)
    control, _ = control_of(bench)
    for number in range(3):
        control.sweep()
        bench.upload(f"incoming/{number}.dcm", b"missed %d" % number)
        clock[0] += 2 * HOUR if ahead < timedelta() else HOUR / 6
        control.sweep()
        assert bench.value("SELECT count(*) FROM images") == number + 1


def test_a_round_that_still_runs_is_not_started_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []
    _, app = control_of(bench)
    task = app.tasks["xraygpt.tick"]

    def tick(_ledger: object) -> Any:
        rounds.append(1)
        task()  # the next message comes while this one is still worked on
        return type("Ticked", (), {"requeued": 0, "buried": 0})

    monkeypatch.setattr("workers.control.tick", tick)
    task()
    assert rounds == [1]
    task()
    assert rounds == [1, 1]


def test_the_control_process_brings_lost_work_back_and_lists_backlogs(bench: Bench) -> None:
    bench.register("incoming/lost.dcm", b"a lost worker's film")
    claim = bench.claimed(JobKind.INGEST)
    with bench.ledger.work() as work:
        work.run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second'")
    bench.upload("old/0.dcm", b"an old film")
    backlog_id = create_backlog(bench.ledger, bench.settings.bucket, "old/", Lane.BACKLOG, None)
    act(bench.ledger, "study read")
    worker = bench.start("control", XRAYGPT_TICK_SECONDS="0.2")
    bench.eventually(
        lambda: bench.value("SELECT state FROM jobs WHERE id = :id", id=claim.job_id) == "queued", "it is queued again"
    )
    bench.eventually(lambda: backlog(bench.ledger, backlog_id).state == "listed", "the backlog is listed")
    broker = redis.Redis.from_url(bench.settings.redis_url.get_secret_value())
    bench.eventually(lambda: broker.llen("ingest.routine") and broker.llen("ingest.backlog"), "both are rung")
    bench.eventually(lambda: broker.llen(CONTROL_QUEUE) < 10, "rounds do not pile up")
    bench.until("SELECT count(*) FROM audit_seals", 1, "the audit is sealed")
    broker.close()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == 0


def test_a_tick_lost_with_the_broker_is_followed_by_another(bench: Bench) -> None:
    bench.start("control", XRAYGPT_TICK_SECONDS="0.2")
    broker = redis.Redis.from_url(bench.settings.redis_url.get_secret_value())
    bench.register("incoming/one.dcm", b"one")
    bench.eventually(lambda: broker.llen("ingest.routine"), "it is rung")
    broker.flushall()
    bench.eventually(lambda: broker.llen("ingest.routine"), "it is rung again")
    broker.close()


def test_answers_nobody_will_ask_for_again_are_forgotten(bench: Bench) -> None:
    control, _ = control_of(bench)
    with bench.ledger.work() as work:
        work.run(
            "INSERT INTO idempotency_keys (key_hash, request_hash, created_at) "
            "VALUES ('old', 'r', clock_timestamp() - interval '2 days'), ('new', 'r', clock_timestamp())"
        )

    control.forget()

    with bench.ledger.work() as work:
        assert [row["key_hash"] for row in work.rows("SELECT key_hash FROM idempotency_keys")] == ["new"]
