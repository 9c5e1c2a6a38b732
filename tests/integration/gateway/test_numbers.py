"""The hospital's numbers of a study, and who looked at it: opened by those who may, and written down."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from api_gateway.acts import Act
from api_gateway.app import create_app
from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import do
from xraygpt_core.sealing import Numbers, Sealer
from xraygpt_core.states import Role

World = Any
SEALER = Sealer(bytes(range(32)))
NUMBERS = Numbers(accession="CANARYACC", accession_issuer="RIS", patient="CANARYPAT")


@pytest.fixture
def keeping(world: World) -> Iterator[TestClient]:
    """A gateway of an installation that keeps numbers, for a reader."""
    app = create_app(world.ledger, world.store, world.pseudonymiser, sealer=SEALER)
    key = create_api_key(world.ledger, "Dr. Reader", roles=[Role.READER])
    with TestClient(app, headers={"X-API-Key": key}, raise_server_exceptions=False) as client:
        yield client


def sealed_study(world: World) -> tuple[str, UUID]:
    """A study whose image has numbers; both ids."""
    (image,) = world.submit("in/a.dcm")
    image_id = UUID(image["image_id"])
    return world.ingest(image["image_id"], sealed=SEALER.seal(image_id, NUMBERS)), image_id


def rows(world: World, what: str) -> list[dict[str, Any]]:
    with world.ledger.work() as work:
        return [dict(row) for row in work.rows("SELECT * FROM audit WHERE what = :what ORDER BY id", {"what": what})]


def test_a_reader_opens_the_numbers_and_the_audit_says_so_without_them(world: World, keeping: TestClient) -> None:
    study_id, image_id = sealed_study(world)
    answer = keeping.get(f"/v1/studies/{study_id}/numbers")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {
        "images": [
            {
                "image_id": str(image_id),
                "accession": "CANARYACC",
                "accession_issuer": "RIS",
                "patient": "CANARYPAT",
                "patient_issuer": None,
                "kept": True,
                "readable": True,
            }
        ]
    }
    (row,) = rows(world, "numbers opened")
    assert (row["actor"], str(row["study_id"]), row["detail"]) == ("Dr. Reader", study_id, {"images": 1})
    assert "CANARY" not in str(row)


def test_an_image_without_numbers_and_a_box_that_was_changed_are_told_apart(world: World, keeping: TestClient) -> None:
    study_id, image_id = sealed_study(world)
    none, _ = world.summarised("in/none.dcm")
    do(world.ledger, "UPDATE sealed_numbers SET sealed = 'AAAA' WHERE image_id = :id", id=image_id)
    (changed,) = keeping.get(f"/v1/studies/{study_id}/numbers").json()["images"]
    (missing,) = keeping.get(f"/v1/studies/{none}/numbers").json()["images"]
    assert (changed["kept"], changed["readable"], changed["accession"]) == (True, False, None)
    assert (missing["kept"], missing["readable"], missing["accession"]) == (False, False, None)


def test_an_installation_that_keeps_none_says_so_and_opens_none(world: World) -> None:
    study_id, _ = sealed_study(world)
    answer = world.client.get(f"/v1/studies/{study_id}/numbers")
    assert (answer.status_code, "keeps no numbers" in answer.json()["detail"]) == (404, True)
    assert rows(world, "numbers opened") == []
    assert Act.NUMBERS not in world.client.get("/v1/me").json()["acts"]


def test_numbers_have_the_budget_of_look_ups(world: World) -> None:
    study_id, _ = sealed_study(world)
    budget = type(world.settings.limit_lookup).read("2+1/m")
    ledger = type(world.ledger)(
        world.settings.model_copy(update={"limit_lookup": budget}), world.ledger.database, world.ledger.doorbell
    )
    app = create_app(ledger, world.store, world.pseudonymiser, sealer=SEALER)
    key = create_api_key(world.ledger, "Dr. Curious", roles=[Role.READER])
    with TestClient(app, headers={"X-API-Key": key}) as client:
        seen = [client.get(f"/v1/studies/{study_id}/numbers").status_code for _ in range(3)]
    assert seen == [200, 200, 429]


def test_me_says_what_each_role_may_do(world: World, keeping: TestClient) -> None:
    acts = {role: set(world.as_role(role).get("/v1/me").json()["acts"]) for role in Role}
    assert acts[Role.READER] == {"read", "find", "ask", "sign"}
    assert acts[Role.LEAD] - acts[Role.READER] == {"withdraw", "readers", "cancel", "summarise again"}
    assert acts[Role.ANALYST] == {"query"}
    assert acts[Role.ADMIN] >= {"keys", "audit", "purge", "readers"}
    assert "read" not in acts[Role.ADMIN] | acts[Role.OPERATOR] | acts[Role.TRAINER]
    assert keeping.get("/v1/me").json()["acts"] == ["read", "find", "ask", "sign", "numbers"]


def test_a_lead_sees_who_did_what_with_a_study_and_is_seen_too(world: World) -> None:
    study_id, summary_id = world.summarised()
    lead = world.as_role(Role.LEAD)
    for _ in range(3):
        world.client.get(f"/v1/studies/{study_id}")
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted", "reviewer": "Dr. A"})
    world.client.get("/v1/studies")
    lead.get(f"/v1/studies/{study_id}/readers")
    answer = lead.get(f"/v1/studies/{study_id}/readers").json()
    assert [(one["what"], one["times"]) for one in answer["readers"]] == [
        ("readers listed", 1),
        ("summary read", 1),
        ("summary accepted", 1),
        ("study read", 3),
    ]
    assert answer["truncated"] is False
    looked = answer["readers"][-1]
    assert (looked["actor"], looked["outcome"]) == ("tests", "done")
    assert looked["first_at"] < looked["last_at"]


def test_what_was_done_under_a_provisional_id_is_the_studys(world: World) -> None:
    (first,), (second,) = world.submit("in/one.dcm"), world.submit("in/two.dcm")
    world.client.get(f"/v1/studies/{second['study_id']}")
    home = world.ingest(first["image_id"], study_pseudonym="same")
    world.ingest(second["image_id"], study_pseudonym="same")
    admin = world.as_role(Role.ADMIN)
    seen = admin.get(f"/v1/studies/{second['study_id']}/readers").json()["readers"]
    assert home == first["study_id"]
    assert "study read" in {one["what"] for one in seen}


def test_readers_of_a_purged_study_stay_known_and_of_none_there_are_none(world: World) -> None:
    study_id, _ = world.summarised()
    world.client.get(f"/v1/studies/{study_id}")
    assert world.client.delete(f"/v1/studies/{study_id}").status_code == 204
    admin = world.as_role(Role.ADMIN)
    acts = {one["what"] for one in admin.get(f"/v1/studies/{study_id}/readers").json()["readers"]}
    assert acts == {"study read", "study purged"}
    assert admin.get("/v1/studies/00000000-0000-7000-8000-000000000000/readers").status_code == 404


def test_a_form_of_another_page_gets_the_room_with_the_number_and_no_rule_of_it_is_loosened(world: World) -> None:
    plain = world.stranger.get("/")
    sent = {"accession": '"><script>1</script>'}
    answer = world.stranger.post("/open", data=sent, headers={"Origin": "https://ris.example"})
    assert answer.status_code == 200
    assert "&quot;&gt;&lt;script&gt;1&lt;/script&gt;" in answer.text
    assert "<script>1" not in answer.text
    assert answer.headers["Content-Security-Policy"] == plain.headers["Content-Security-Policy"]
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert "set-cookie" not in answer.headers
    assert world.stranger.post("/open", data={"name": "DOE"}).text == plain.text
    assert world.stranger.post("/open", content=b"x" * 5000).status_code == 413
    with world.ledger.work() as work:
        assert work.rows("SELECT id FROM audit WHERE what = 'number looked up'") == []
