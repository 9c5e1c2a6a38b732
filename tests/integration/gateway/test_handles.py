"""The last digits of an id lead to what has it, over the gateway, for each kind and each role."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import do
from xraygpt.client import Gateway
from xraygpt.named_ids import NotNamed, study_id
from xraygpt_core.ledger.studies.handles import _JOBS, _STUDIES, _SUMMARIES, _TURNS
from xraygpt_core.states import JobKind, Role

World = Any

_MANY = """
    WITH s AS (
        INSERT INTO studies (id, lane_rank, state)
        SELECT gen_random_uuid(), 1, 'received' FROM generate_series(1, 3000) RETURNING id
    ), m AS (
        INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                               provenance, tokens, batch_size, lane_rank)
        SELECT gen_random_uuid(), id, gen_random_uuid(), 1, gen_random_uuid(), 1, 'demo', 'f', 'Normal.', '{}', 9, 1, 1
        FROM s RETURNING id, study_id
    ), t AS (
        INSERT INTO chat_turns (id, study_id, summary_id, position, state, question)
        SELECT gen_random_uuid(), study_id, id, 1, 'asked', 'Why?' FROM m
    )
    INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts, state)
    SELECT gen_random_uuid(), 'settle', id, id::text, 1, 5, 'dead' FROM s
"""


def ids(world: World, kind: str, ends: str) -> list[str]:
    answer = world.client.get(f"/v1/handles/{kind}/{ends}")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["candidates"]]


def test_each_kind_is_found_by_the_end_of_its_id(world: World) -> None:
    study, summary = world.summarised("in/a.dcm")
    turn = world.client.post(f"/v1/studies/{study}/chat", json={"question": "?"}).json()["turn_id"]
    (image,) = world.submit("in/b.dcm")
    job = world.kill(JobKind.INGEST, image["image_id"])
    backlog = world.client.post("/v1/backlogs", json={"uri": f"s3://{world.settings.bucket}/x/"}).json()["backlog_id"]
    run = world.client.post("/v1/training-runs", json={"stage": "stage1"}).json()["run_id"]
    named = {"study": study, "summary": summary, "turn": turn, "job": job, "backlog": backlog, "run": run}
    compared = {name: {"name": name, "sha256": digit * 64} for name, digit in (("first", "1"), ("second", "2"))}
    named["comparison"] = world.client.post("/v1/comparisons", json=compared).json()["comparison_id"]
    for kind, one in named.items():
        digits = one.replace("-", "")
        assert ids(world, kind, digits[-5:]) == ids(world, kind, digits[-13:]) == ids(world, kind, digits) == [one]
        assert ids(world, kind, f"{digits[-13:-5][::-1]}{digits[-5:]}") == []
    open_job = world.client.get("/v1/handles/job/" + str(_open_job(world, summary_of=study))[-5:])
    assert open_job.json() == {"candidates": []}, "only dead jobs are named"


def _open_job(world: World, summary_of: str) -> UUID:
    with world.ledger.work() as work:
        row = work.row("SELECT id FROM jobs WHERE state <> 'dead' AND subject = :id", {"id": UUID(summary_of)})
    found: UUID = row["id"]
    return found


def test_a_provisional_id_leads_to_its_study(world: World) -> None:
    (first,), (second,) = world.submit("in/one.dcm"), world.submit("in/two.dcm")
    home = world.ingest(first["image_id"], study_pseudonym="same")
    world.ingest(second["image_id"], study_pseudonym="same")
    assert ids(world, "study", second["study_id"][-6:]) == ids(world, "study", home[-6:]) == [home]


def test_what_ends_alike_is_answered_the_newest_first_and_ten_at_most(world: World) -> None:
    made = [f"01a22344-2e7d-72e2-a1b2-{number:07x}51dc6" for number in range(12)]
    for number, one in enumerate(made):
        add = "INSERT INTO studies (id, lane_rank, state, received_at) VALUES (:id, 1, 'received', "
        do(world.ledger, f"{add} '2026-11-21T08:00Z'::timestamptz + {number} * interval '1 minute')", id=UUID(one))
    assert ids(world, "study", "51dc6") == made[:1:-1]
    assert ids(world, "study", "b51dc6") == [made[11]]
    first = world.client.get("/v1/handles/study/51dc6").json()["candidates"][0]
    assert (first["state"], first["at"]) == ("received", "2026-11-21T08:11:00Z")


@pytest.mark.parametrize("ends", ["1dc6", "51DC6", "51dcg", "%25%25%25%25%25", "_____", "a" * 33, "51dc6'--"])
def test_what_is_no_end_of_an_id_is_refused(shared: World, ends: str) -> None:
    assert shared.client.get(f"/v1/handles/study/{ends}").status_code == 422


@pytest.mark.parametrize(
    ("kind", "roles"),
    [
        ("study", set(Role) - {Role.ANALYST}),
        ("summary", {Role.READER, Role.LEAD, Role.SERVICE}),
        ("turn", {Role.READER, Role.LEAD, Role.SERVICE}),
        ("job", {Role.OPERATOR}),
        ("backlog", {Role.OPERATOR}),
        ("run", {Role.OPERATOR, Role.ADMIN, Role.TRAINER}),
    ],
)
def test_a_handle_opens_for_whoever_may_name_such_a_thing(shared: World, kind: str, roles: set[Role]) -> None:
    opened = {role for role in Role if shared.as_role(role).get(f"/v1/handles/{kind}/51dc6").status_code == 200}
    assert opened == roles
    assert shared.stranger.get(f"/v1/handles/{kind}/51dc6").status_code == 401


def test_the_command_line_resolves_a_handle_at_a_real_gateway(world: World) -> None:
    study, _ = world.summarised("in/a.dcm")
    client = Gateway("http://testserver", "", patience=0.0)
    client._http = world.client
    assert study_id(client, study[-5:]) == study
    with pytest.raises(NotNamed, match="no study has an id"):
        study_id(client, f"{study[-13]}fffff{study[-5:]}".replace("-", ""))


def test_no_look_up_walks_through_a_table(world: World) -> None:
    """With rows enough for the planner to prefer it, each statement goes by the index of the last digits."""
    do(world.ledger, _MANY)
    do(world.ledger, "ANALYZE studies, summaries, chat_turns, jobs")
    with world.ledger.work() as work:
        work.run("SET LOCAL enable_seqscan = off")
        for table, statement in (
            ("studies", _STUDIES),
            ("summaries", _SUMMARIES),
            ("chat_turns", _TURNS),
            ("jobs", _JOBS),
        ):
            plan = "\n".join(row["QUERY PLAN"] for row in work.rows(f"EXPLAIN {statement}", {"ends": "0051dc6"}))
            assert f"ix_{table}_tail" in plan, plan
