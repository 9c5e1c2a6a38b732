"""Searching, counting, assigning, hastening and exporting studies over HTTP, by whom the roles allow."""

import csv
import hashlib
import io
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.integration.gateway.test_worklist import ids
from tests.support.ledger_tools import do
from tests.support.pictures import picture
from xraygpt_core.states import Role

World = Any


def search(world: World, **body: Any) -> dict[str, Any]:
    answer = world.client.post("/v1/studies/search", json=body)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def drafted(world: World, name: str, text: str, **more: Any) -> str:
    (image,) = world.submit(f"in/{name}.dcm")
    study_id = world.ingest(image["image_id"], **more)
    world.summarise(study_id, text)
    return str(study_id)


def test_a_list_is_narrowed_by_words_findings_and_views_and_turned_round(world: World) -> None:
    left = drafted(world, "a", "Small left effusion.")
    right = drafted(world, "b", "Right effusion.", view="AP")
    do(world.ledger, "UPDATE summaries SET asserted = '{effusion}', uncertain = '{}'")
    assert ids(search(world, list="awaiting", q="effus left")) == [left]
    assert ids(search(world, list="awaiting", q="left right")) == []
    assert ids(search(world, list="awaiting", finding=["effusion"], view=["AP"])) == [right]
    assert ids(search(world, list="awaiting", order="received")) == [right, left]
    first = search(world, list="awaiting", order="received", descending=False, limit=1)
    assert ids(first) == [left]
    assert ids(search(world, list="awaiting", order="received", descending=False, cursor=first["next"])) == [right]
    assert search(world, list="awaiting")["studies"][0]["asserted"] == ["effusion"]


def test_a_cursor_is_of_its_order(world: World) -> None:
    for name in "ab":
        drafted(world, name, "Normal.")
    cursor = search(world, list="awaiting", order="received", limit=1)["next"]
    for other in ({"order": "acquired"}, {"order": "received", "descending": False}, {}):
        answer = world.client.post("/v1/studies/search", json={"list": "awaiting", "cursor": cursor} | other)
        assert answer.status_code == 422, other


@pytest.mark.parametrize(
    "body",
    [
        {"list": "all", "order": "signed"},
        {"list": "everything"},
        {"q": "x" * 201},
        {"q": "\0"},
        {"view": ["PA"] * 21},
        {"flag": ["red"]},
        {"acquired_from": "2026-02-30"},
        {"received_from": "2026-01-01T00:00:00"},
        {"limit": 201},
        {"listing": "all"},
    ],
)
def test_what_no_list_has_is_refused(shared: World, body: dict[str, Any]) -> None:
    assert shared.client.post("/v1/studies/search", json=body).status_code == 422


def test_counts_stand_beside_what_a_list_could_be_narrowed_to(world: World) -> None:
    for name, view in (("a", "PA"), ("b", "PA"), ("c", "AP")):
        drafted(world, name, "Normal.", view=view)
    counts = world.client.post("/v1/studies/counts", json={"list": "awaiting"}).json()
    assert (counts["total"], counts["whole"], counts["by"]["view"]) == (3, True, {"PA": 2, "AP": 1})
    assert counts["by"]["review"] == {"draft": 3}


def test_who_may_read_no_film_gets_no_list_in_any_way(world: World) -> None:
    study_id = drafted(world, "a", "Normal.")
    for role in (Role.ANALYST, Role.OPERATOR, Role.ADMIN, Role.SERVICE, Role.TRAINER):
        client = world.as_role(role)
        for path in ("search", "counts"):
            assert client.post(f"/v1/studies/{path}", json={}).status_code == 403
        for path in ("assign", "release", "export"):
            assert client.post(f"/v1/studies/{path}", json={"study_ids": [study_id]}).status_code == 403
        assert client.put(f"/v1/studies/{study_id}/reading").status_code == 403
        assert client.get(f"/v1/studies/{study_id}/thumbnail.png").status_code == 403
        assert client.get("/v1/readers").status_code == 403


def test_a_reader_takes_studies_and_sees_their_own(world: World) -> None:
    study_id, other = drafted(world, "a", "Normal."), drafted(world, "b", "Normal.")
    reader, second = world.as_role(Role.READER), world.as_role(Role.READER)
    (done,) = reader.post("/v1/studies/assign", json={"study_ids": [study_id]}).json()["studies"]
    assert (done["refused"], done["before"]) == (None, None)
    mine = reader.post("/v1/studies/search", json={"mine": True}).json()
    assert ids(mine) == [study_id]
    assert mine["studies"][0]["mine"]
    assert ids(second.post("/v1/studies/search", json={"mine": True}).json()) == []
    refused = second.post("/v1/studies/assign", json={"study_ids": [study_id, other]}).json()["studies"]
    assert refused[0]["refused"].startswith("it is assigned to")
    assert refused[1]["refused"] is None
    assert second.post("/v1/studies/hasten", json={"study_ids": [other], "lane": "stat"}).status_code == 403
    to = reader.get("/v1/me").json()["key_id"]
    assert second.post("/v1/studies/assign", json={"study_ids": [other], "to": to}).status_code == 403
    lead = world.as_role(Role.LEAD)
    assert (
        lead.post("/v1/studies/assign", json={"study_ids": [other], "to": to}).json()["studies"][0]["refused"] is None
    )
    assert lead.post("/v1/studies/hasten", json={"study_ids": [other], "lane": "stat"}).status_code == 200


def test_a_signer_whose_signature_was_taken_back_sees_that_and_by_whom_and_others_do_not(world: World) -> None:
    study_id, summary_id = world.summarised()
    reader, lead = world.as_role(Role.READER), world.as_role(Role.LEAD)

    def review(client: TestClient, **said: Any) -> None:
        now = client.get(f"/v1/summaries/{summary_id}").json()
        seen = {name: now[name] for name in ("review_state", "reviewed_at", "superseded_at")}
        answer = client.post(f"/v1/summaries/{summary_id}/review", json=said | {"seen": seen})
        assert answer.status_code == 200, answer.text

    review(reader, state="accepted")
    review(lead, state="draft", reason="the other side")
    (row,) = reader.post("/v1/studies/search", json={"mine": True}).json()["studies"]
    by = lead.get("/v1/me").json()["name"]
    assert (row["study_id"], row["mine"], row["withdrawn_by"]) == (study_id, False, by)
    for other in (lead, world.as_role(Role.READER)):
        assert other.post("/v1/studies/search", json={}).json()["studies"][0]["withdrawn_by"] is None
        assert ids(other.post("/v1/studies/search", json={"mine": True}).json()) == []
    review(reader, state="accepted")
    review(lead, state="edited", text="Heart enlarged.", reason="It is.")
    (row,) = reader.post("/v1/studies/search", json={}).json()["studies"]
    assert (row["review_state"], row["withdrawn_by"]) == ("edited", by)


@pytest.mark.parametrize("count", [0, 201])
def test_many_at_once_are_two_hundred(shared: World, count: int) -> None:
    body = {"study_ids": [str(uuid4()) for _ in range(count)]}
    for path in ("assign", "release", "export"):
        assert shared.client.post(f"/v1/studies/{path}", json=body).status_code == 422


def test_a_claim_is_seen_by_others_and_hinders_no_signature(world: World) -> None:
    study_id, summary_id = world.summarised()
    reader, second = world.as_role(Role.READER), world.as_role(Role.READER)
    name = reader.get("/v1/me").json()["name"]
    assert reader.put(f"/v1/studies/{study_id}/reading").json()["mine"]
    told = second.put(f"/v1/studies/{study_id}/reading").json()
    assert (told["name"], told["mine"]) == (name, False)
    assert second.post("/v1/studies/search", json={}).json()["studies"][0]["read_by"] == name
    assert reader.post("/v1/studies/search", json={}).json()["studies"][0]["read_by"] is None
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted"}).status_code == 200
    assert reader.delete(f"/v1/studies/{study_id}/reading").status_code == 204
    assert second.put(f"/v1/studies/{study_id}/reading").json()["mine"]
    assert second.put(f"/v1/studies/{uuid4()}/reading").status_code == 404


def test_rows_leave_as_csv_and_only_those_that_were_chosen(world: World) -> None:
    study_id = drafted(world, "a", '=cmd|"calc", really')
    drafted(world, "b", "Normal.")
    answer = world.client.post("/v1/studies/export", json={"study_ids": [study_id, str(uuid4())]})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["cache-control"] == "no-store"
    (line,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (line["study_id"], line["opening"]) == (study_id, '\'=cmd|"calc", really')


def test_a_thumbnail_is_small_kept_by_its_hash_and_proved(world: World) -> None:
    png = picture()
    study_id, _ = world.summarised(preview_sha256=hashlib.sha256(png).hexdigest(), preview_key="preview/t.png")
    world.s3.put_object(Bucket=world.settings.derived_bucket, Key="preview/t.png", Body=png)
    path = f"/v1/studies/{study_id}/thumbnail.png"
    answer = world.client.get(path)
    assert max(Image.open(io.BytesIO(answer.content)).size) == 96
    assert world.client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    other = "0" * 64
    do(world.ledger, "UPDATE images SET preview_sha256 = :other", other=other)
    assert world.client.get(path).status_code == 500
