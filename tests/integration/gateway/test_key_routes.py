"""``/v1/keys``: an admin makes, sees, replaces and ends keys."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.ledger_tools import do
from xraygpt_core.states import KeyKind, Lane, Role

World = Any


def make(world: World, name: str = "Dr. R", roles: tuple[str, ...] = ("reader",), **more: Any) -> dict[str, str]:
    answer = world.client.post("/v1/keys", json={"name": name, "roles": roles, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


def me(world: World, key: str) -> Any:
    return world.stranger.get("/v1/me", headers={"X-API-Key": key})


def listed(world: World, **query: str) -> dict[str, dict[str, Any]]:
    keys = world.client.get("/v1/keys", params=query).json()["keys"]
    return {one["key_id"]: one for one in keys}


def test_a_key_may_what_it_was_made_for(world: World) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = make(world, "pacs", ("service", "operator"), kind="program", owner="IT", expires_at=until)
    found = me(world, made["key"]).json()
    assert found == {
        "key_id": made["key_id"], "name": "pacs", "kind": "program", "roles": ["operator", "service"], "stat": True,
        "acts": ["find", "ask", "sign", "cancel", "summarise again", "submit", "backlogs", "replay", "watch training"],
        "expires_at": found["expires_at"],
    }  # fmt: skip
    assert found["expires_at"].startswith(until[:19])
    (one,) = [one for one in listed(world).values() if one["name"] == "pacs"]
    assert (one["owner"], one["valid"], one["last_used_at"] is not None) == ("IT", True, True)
    assert made["key"] not in world.client.get("/v1/keys").text


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "roles": []},
        {"name": "x", "roles": ["king"]},
        {"name": "x"},
        {"name": "Dr.\u200bR", "roles": ["reader"]},
        {"name": "\u202eR .rD", "roles": ["reader"]},
        {"name": "x", "roles": ["reader"], "owner": "\x1b[2J"},
        {"name": "", "roles": ["reader"]},
        {"name": "x", "roles": ["reader"], "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "roles": ["reader"], "expires_at": "9999-12-31T23:59:59-23:59"},
    ],
)
def test_an_impossible_key_is_refused(world: World, body: dict[str, Any]) -> None:
    assert world.client.post("/v1/keys", json=body).status_code == 422


def test_a_name_that_is_taken_is_a_conflict(world: World) -> None:
    make(world)
    assert world.client.post("/v1/keys", json={"name": "Dr. R", "roles": ["lead"]}).status_code == 409


def test_a_rotated_key_opens_until_its_overlap_ends(world: World) -> None:
    old = make(world, roles=("reader", "lead"), owner="Ward 3")
    new = world.client.post(f"/v1/keys/{old['key_id']}/rotate", json={"overlap_seconds": 3600}).json()
    assert me(world, old["key"]).status_code == 200
    found = me(world, new["key"]).json()
    assert (found["name"], found["roles"], found["expires_at"]) == ("Dr. R", ["reader", "lead"], None)
    keys = listed(world)
    assert keys[old["key_id"]]["replaced_by"] == new["key_id"]
    assert keys[new["key_id"]]["owner"] == "Ward 3"
    assert world.client.post(f"/v1/keys/{old['key_id']}/rotate", json={}).status_code == 409
    do(world.ledger, "UPDATE api_keys SET expires_at = clock_timestamp() WHERE expires_at IS NOT NULL")
    assert me(world, old["key"]).status_code == 401
    assert me(world, new["key"]).status_code == 200


def test_a_rotation_without_overlap_ends_the_old_key_now(world: World) -> None:
    old = make(world)
    world.client.post(f"/v1/keys/{old['key_id']}/rotate", json={"overlap_seconds": 0})
    assert me(world, old["key"]).status_code == 401


def test_what_was_signed_before_a_rotation_is_still_one_s_own(world: World) -> None:
    _, summary_id = world.summarised()
    old = make(world)
    seen = {"review_state": "draft", "reviewed_at": None, "superseded_at": None}

    def say(key: str, state: str, seen: dict[str, Any]) -> Any:
        body = {"state": state, "seen": seen}
        return world.stranger.post(f"/v1/summaries/{summary_id}/review", json=body, headers={"X-API-Key": key})

    signed = say(old["key"], "accepted", seen).json()
    new = world.client.post(f"/v1/keys/{old['key_id']}/rotate", json={}).json()
    now = {name: signed[name] for name in seen}
    assert say(make(world, "Dr. S")["key"], "draft", now).status_code == 403
    assert say(new["key"], "draft", now).status_code == 200


def test_an_ended_key_is_listed_with_those_that_are_over(world: World) -> None:
    made = make(world)
    assert world.client.delete(f"/v1/keys/{made['key_id']}").status_code == 204
    assert made["key_id"] not in listed(world)
    assert listed(world, ended="true")[made["key_id"]]["valid"] is False
    assert world.client.delete(f"/v1/keys/{made['key_id']}").status_code == 404


def test_the_last_key_that_may_make_keys_is_not_ended(world: World) -> None:
    own = world.client.get("/v1/me").json()["key_id"]
    answer = world.client.delete(f"/v1/keys/{own}")
    assert (answer.status_code, "admin" in answer.json()["detail"]) == (409, True)
    make(world, "second", ("admin",))
    assert world.client.delete(f"/v1/keys/{own}").status_code == 204


def test_a_rotation_makes_no_key_that_is_over_already(world: World) -> None:
    own = world.client.get("/v1/me").json()["key_id"]
    body = {"overlap_seconds": 0, "expires_at": "2020-01-01T00:00:00Z"}
    assert world.client.post(f"/v1/keys/{own}/rotate", json=body).status_code == 422
    assert world.client.get("/v1/keys").status_code == 200


def test_a_replaced_key_keeps_its_name_from_others_until_it_ends(world: World) -> None:
    old = make(world)
    new = world.client.post(f"/v1/keys/{old['key_id']}/rotate", json={}).json()
    world.client.delete(f"/v1/keys/{new['key_id']}")
    assert world.client.post("/v1/keys", json={"name": "Dr. R", "roles": ["reader"]}).status_code == 409
    world.client.delete(f"/v1/keys/{old['key_id']}")
    make(world)


def test_an_operator_is_told_no_text(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    world.summarise(world.ingest(image["image_id"]), "No acute disease.")
    found = {}
    for role in (Role.OPERATOR, Role.SERVICE):
        body = {"image_ids": [image["image_id"]]}
        (found[role],) = world.as_role(role).post("/v1/images/status", json=body).json()["images"]
    assert found[Role.SERVICE]["summary"] == "No acute disease."
    told = {name: found[Role.OPERATOR][name] for name in ("state", "summary", "findings", "impression", "consistency")}
    assert told == {"state": "summarised", "summary": None, "findings": None, "impression": None, "consistency": []}


@pytest.mark.parametrize(("stat", "status"), [(False, 403), (True, 202)])
def test_a_program_asks_for_stat_by_right(world: World, stat: bool, status: int) -> None:
    client = world.as_role(Role.SERVICE, kind=KeyKind.PROGRAM, stat=stat)
    body = {"objects": [{"uri": world.put("in/a.dcm")}], "lane": Lane.STAT}
    assert client.post("/v1/studies", json=body).status_code == status
    assert client.post("/v1/studies", json=body | {"lane": Lane.ROUTINE}).status_code == 202


def test_a_service_signs_for_people_alone_and_a_reader_in_the_own_name(world: World) -> None:
    _, summary_id = world.summarised()
    path, service = f"/v1/summaries/{summary_id}/review", world.as_role(Role.SERVICE, kind=KeyKind.PROGRAM)
    assert service.post(path, json={"state": "accepted"}).status_code == 403
    assert world.as_role(Role.SERVICE).post(path, json={"state": "accepted", "reviewer": "Dr. R"}).status_code == 403
    assert service.post(path, json={"state": "accepted", "reviewer": "Dr. R"}).status_code == 200


def test_an_answer_that_was_kept_for_one_key_is_told_to_no_other(world: World) -> None:
    study_id, _ = world.summarised()
    path, once = f"/v1/studies/{study_id}/chat", {"Idempotency-Key": "k"}
    reader, other = world.as_role(Role.READER), world.as_role(Role.READER)
    first = reader.post(path, json={"question": "Normal?"}, headers=once).json()
    assert reader.post(path, json={"question": "Normal?"}, headers=once).json() == first
    assert other.post(path, json={"question": "Normal?"}, headers=once).json()["turn_id"] != first["turn_id"]
    assert world.as_role(Role.ADMIN).post(path, json={"question": "Normal?"}, headers=once).status_code == 403
