"""What operators are shown agrees with the ledger, and names nobody."""

from typing import Any

import pytest

from tests.support.ledger_tools import do, one, rows
from workers.rollups import Rollups
from xraygpt_core.ledger.operations.presence import Presence, announce
from xraygpt_core.states import JobKind, Role

World = Any


def seen(world: World, **query: Any) -> dict[str, Any]:
    """The document."""
    answer = world.client.get("/v1/ops", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def a_run_with_failures(world: World) -> None:
    """Some studies are summarised, one is rejected, two die of the same thing, and one waits."""
    for number in range(4):
        world.summarised(f"in/{number}.dcm")
    bad, one_more, waits, *dead = world.submit("in/bad", "in/more", "in/waits", "in/d1", "in/d2")
    world.reject(bad["image_id"])
    world.ingest(one_more["image_id"])
    for place, image in enumerate(dead):
        world.kill(JobKind.INGEST, image["image_id"], f"CodecCrashed: signal {place + 6} at image {image['image_id']}")
    assert waits


def test_the_document_agrees_with_the_ledgers_own_counts(world: World) -> None:
    a_run_with_failures(world)
    assert Rollups(world.ledger).round()
    found = seen(world)
    for name in ("done", "dead", "cancelled"):
        shown = sum(point[name] for curve in found["work"] for point in curve["points"])
        assert shown == one(world.ledger, "SELECT count(*) FROM jobs WHERE state = :state", state=name), name
    arrived = sum(point["arrived"] for curve in found["work"] for point in curve["points"])
    assert arrived == one(world.ledger, "SELECT count(*) FROM jobs")
    tokens = sum(point["tokens"] for curve in found["work"] for point in curve["points"])
    assert tokens == one(world.ledger, "SELECT sum(tokens) FROM summaries")
    now = {(job["kind"], job["state"]): job["jobs"] for job in found["jobs"]}
    counts = rows(world.ledger, "SELECT kind, state, count(*) AS n FROM jobs WHERE state NOT IN ('done', 'cancelled')"
                  " GROUP BY 1, 2")  # fmt: skip
    assert now == {(row["kind"], row["state"]): row["n"] for row in counts}


@pytest.mark.parametrize("hours", [6, 24, 168])
def test_each_window_has_about_eighty_steps(world: World, hours: int) -> None:
    window = seen(world, hours=hours)["window"]
    assert 70 < hours * 3600 / window["step_seconds"] < 100


@pytest.mark.parametrize(
    ("more_settings", "shown"),
    [({}, None), ({"flower_url": "https://flower.hospital.example"}, "https://flower.hospital.example/")],
)
def test_the_document_knows_flower_where_a_setting_says_so(world: World, shown: str | None) -> None:
    assert seen(world)["flower_url"] == shown


def test_another_window_is_refused(world: World) -> None:
    assert world.client.get("/v1/ops", params={"hours": 7}).status_code == 422


def test_jobs_that_died_of_one_thing_are_one_group_and_are_replayed_together(world: World) -> None:
    a_run_with_failures(world)
    other = world.submit("in/other")[0]
    world.kill(JobKind.INGEST, other["image_id"], "BucketAway: 503")
    groups = seen(world)["dead"]
    assert [(group["jobs"], group["cause"]) for group in groups] == [
        (2, "CodecCrashed: signal … at image …"),
        (1, "BucketAway: …"),
    ]
    cause = {name: groups[0][name] for name in ("kind", "cause")}
    assert world.client.post("/v1/dead/replay", json={"cause": cause}).json() == {"replayed": 2}
    assert [group["cause"] for group in seen(world)["dead"]] == ["BucketAway: …"]
    both = {"cause": cause, "all": True}
    assert world.client.post("/v1/dead/replay", json=both).status_code == 422


def test_a_cause_of_another_kind_of_job_is_left_alone(world: World) -> None:
    image = world.submit("in/a")[0]
    world.kill(JobKind.INGEST, image["image_id"], "no room")
    cause = {"kind": "summarise", "cause": "no room"}
    assert world.client.post("/v1/dead/replay", json={"cause": cause}).json() == {"replayed": 0}


def test_a_backlog_has_its_rate_and_the_time_that_is_left(world: World) -> None:
    for number in range(4):
        world.put(f"archive/{number}")
    backlog_id = world.client.post("/v1/backlogs", json={"uri": f"s3://{world.settings.bucket}/archive/"}).json()[
        "backlog_id"
    ]
    assert seen(world)["backlogs"][0]["at"] is None
    do(world.ledger, "UPDATE backlogs SET state = 'listed'")
    do(world.ledger, "INSERT INTO backlog_rollup (backlog_id, bucket, registered, open, at) SELECT b.id, t, 100, o, t"
       " FROM backlogs b,"
       " (VALUES (clock_timestamp() - interval '30 minutes', 90), (clock_timestamp(), 40)) v (t, o)")  # fmt: skip
    (found,) = seen(world)["backlogs"]
    assert found["backlog_id"] == backlog_id
    assert found["per_hour"] == pytest.approx(100, rel=0.01)
    assert found["left_seconds"] == pytest.approx(1440, rel=0.01)
    assert [point["open"] for point in found["points"]] == [90, 40]
    assert "archive" not in str(found)


def test_workers_are_there_for_a_minute_after_their_last_word(world: World) -> None:
    gpu = Presence(
        "gpu-1@host", "gpu", 4, 3, 12.5, "demo", "ab" * 32, {"says": "Synthetic films only."}, [{"name": "H200"}]
    )
    announce(world.ledger, gpu)
    announce(world.ledger, Presence("ingest-2@host", "ingest", 2, 0))
    found = seen(world)
    assert [(one["name"], one["busy"], one["slots"]) for one in found["workers"]] == [
        ("gpu-1@host", 3, 4),
        ("ingest-2@host", 0, 2),
    ]
    assert found["workers"][0]["devices"] == [{"name": "H200"}]
    (bundle,) = found["bundles"]["known"]
    assert (bundle["name"], bundle["workers"], bundle["scope"]["says"]) == ("demo", 1, "Synthetic films only.")
    do(world.ledger, "UPDATE workers SET seen_at = seen_at - interval '61 seconds' WHERE kind = 'gpu'")
    assert [one["name"] for one in seen(world)["workers"]] == ["ingest-2@host"]
    assert seen(world)["bundles"]["known"][0]["scope"] is None


def test_events_that_cannot_be_read_are_counted_by_cause_and_strangers_write_nothing(world: World) -> None:
    hook = {"Authorization": "Bearer webhook-token"}
    for _ in range(2):
        assert world.stranger.post("/v1/events/s3", content=b"canary-7 {", headers=hook).status_code == 422
    assert world.stranger.post("/v1/events/sns", content=b"{").status_code == 422
    assert world.stranger.post("/v1/events/s3", content=b"{", headers={"Authorization": "Bearer no"}).status_code == 401
    (noted,) = seen(world)["unreadable"]
    assert (noted["door"], noted["events"], noted["cause"]) == ("webhook", 2, "the event is not JSON")


def test_finished_runs_that_were_never_served_can_be_promoted(world: World) -> None:
    do(world.ledger, "INSERT INTO training_runs (id, stage, config, base_bundle, state, result_prefix) VALUES"
       " (gen_random_uuid(), 'stage1', '{}', 'demo', 'done', 'runs/x')")  # fmt: skip
    found = seen(world)["bundles"]
    assert [one["stage"] for one in found["results"]] == ["stage1"]
    assert found["served"] == "demo"


@pytest.mark.parametrize("role", list(Role))
def test_only_operators_and_admins_see_it(world: World, role: Role) -> None:
    allowed = role in (Role.OPERATOR, Role.ADMIN)
    assert world.as_role(role).get("/v1/ops").status_code == (200 if allowed else 403)


def test_the_room_has_one_label_in_the_metrics(world: World) -> None:
    page = world.stranger.get("/ops").text
    address = next(part for part in page.split('"') if part.endswith("/ops.js"))
    assert world.stranger.get(address).status_code == 200
    assert world.stranger.get("/room/nothing/x.js").status_code == 404
    text = world.client.get("/metrics").text
    assert 'xraygpt_http_requests_total{method="GET",route="room",status="200"}' in text
    assert 'xraygpt_http_requests_total{method="GET",route="room",status="404"}' in text


def test_the_gateway_exports_nothing_of_the_workers(world: World) -> None:
    text = world.client.get("/metrics").text
    assert "xraygpt_http_requests_total" in text
    for foreign in ("xraygpt_summaries_total", "xraygpt_tokens_total", "xraygpt_engine", "xraygpt_job_attempts_total"):
        assert foreign not in text
