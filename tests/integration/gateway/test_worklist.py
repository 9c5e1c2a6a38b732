"""Lists of studies over HTTP."""

import base64
from typing import Any
from uuid import uuid4

import pytest

from tests.support.api_keys import create_api_key
from xraygpt_core.states import NOTICE

World = Any


def listed(world: World, **params: Any) -> dict[str, Any]:
    answer = world.client.get("/v1/studies", params=params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [row["study_id"] for row in page["studies"]]


def test_drafts_come_in_the_order_in_which_they_are_to_be_read(world: World) -> None:
    made = {}
    for lane in ("backlog", "routine", "stat"):
        (image,) = world.submit(f"in/{lane}.dcm", lane=lane)
        study_id = world.ingest(image["image_id"], flags=("burned_in_unchecked",))
        world.summarise(study_id)
        made[lane] = study_id
    page = listed(world, list="awaiting")
    assert ids(page) == [made["stat"], made["routine"], made["backlog"]]
    assert page["awaiting"] == {"stat": 1, "routine": 1, "backlog": 1}
    assert (page["notice"], page["next"]) == (NOTICE, None)
    first = page["studies"][0]
    assert (first["lane"], first["view"], first["opening"]) == ("stat", "PA", "No acute disease.")
    assert first["flags"] == ["burned_in_unchecked"]


def test_the_next_page_begins_where_this_one_ends(world: World) -> None:
    made = [world.summarised(f"in/{n}.dcm")[0] for n in range(3)]
    first = listed(world, list="awaiting", limit=2)
    second = listed(world, list="awaiting", limit=2, cursor=first["next"])
    assert (ids(first), ids(second), second["next"]) == (made[:2], made[2:], None)


def test_signed_studies_are_listed_with_who_signed_and_how(world: World) -> None:
    study_id, summary_id = world.summarised()
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "edited", "text": "Normal."})
    (row,) = listed(world, list="signed", review=["edited", "rejected"])["studies"]
    assert (row["study_id"], row["review_state"], row["reviewed_by"], row["opening"]) == (
        study_id,
        "edited",
        "tests",
        "Normal.",
    )
    assert ids(listed(world, list="signed", review="accepted")) == []


def test_all_studies_can_be_asked_for_by_state(world: World) -> None:
    done, _ = world.summarised("in/done.dcm")
    (turned_away,) = world.submit("in/blank.dcm")
    world.reject(turned_away["image_id"])
    assert ids(listed(world)) == [turned_away["study_id"], done]
    (row,) = listed(world, state=["rejected", "dead"])["studies"]
    assert (row["reason_code"], row["summary_id"], row["opening"]) == ("blank", None, None)


def test_nobody_lists_studies_without_a_key(world: World) -> None:
    assert world.stranger.get("/v1/studies").status_code == 401
    assert world.stranger.get("/v1/me").status_code == 401


def test_a_key_says_whose_it_is(world: World) -> None:
    key = create_api_key(world.ledger, "Dr. R")
    me = world.stranger.get("/v1/me", headers={"X-API-Key": key}).json()
    assert (me["name"], me["kind"]) == ("Dr. R", "person")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "x"),
        ("list", "everything"),
        ("lane", "fast"),
        ("state", "done"),
        ("review", "signed"),
        ("cursor", ""),
        ("cursor", "x" * 35),
        ("cursor", "é" * 36),
        ("cursor", "A" * 36),
        ("cursor", "=" * 36),
        ("cursor", base64.urlsafe_b64encode(b"\x01\x02\x00" + b"\x7f" * 24).decode()),
        ("cursor", base64.urlsafe_b64encode(b"\x01\x02\x00" + b"\x80" + b"\0" * 23).decode()),
        ("cursor", base64.urlsafe_b64encode(b"\x02\x02\x00" + b"\0" * 24).decode()),
    ],
)
def test_what_no_page_ever_said_is_refused_with_a_problem(shared: World, name: str, value: str) -> None:
    answer = shared.client.get("/v1/studies", params={name: value})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert not value or value not in answer.text.replace("1 and 200", "")


def test_a_cursor_is_of_the_list_it_came_from(world: World) -> None:
    for n in range(2):
        world.summarised(f"in/{n}.dcm")
    cursor = listed(world, list="awaiting", limit=1)["next"]
    assert world.client.get("/v1/studies", params={"list": "all", "cursor": cursor}).status_code == 422


@pytest.mark.parametrize("rank", [-128, 0, 127])
def test_a_made_up_place_in_a_list_is_a_place(shared: World, rank: int) -> None:
    packed = b"\x01\x00" + rank.to_bytes(1, "big", signed=True) + (0).to_bytes(8, "big") + uuid4().bytes
    cursor = base64.urlsafe_b64encode(packed).decode()
    assert shared.client.get("/v1/studies", params={"list": "awaiting", "cursor": cursor}).status_code == 200
