"""Two models side by side, through the real gateway, database and bucket: every text once, whatever comes between."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.comparison_tools import (
    ASK,
    CLEAR,
    EFFUSION,
    FIRST,
    SECOND,
    begin,
    drafts,
    films,
    result,
    write,
)
from tests.support.ledger_tools import do
from tests.support.through_gateway import through
from tests.support.writing_backend import WritingBackend
from xraygpt.shadow_texts import write_texts
from xraygpt_core.errors import InvalidRequest, Rejected
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.model.backend import DeviceLost, RequestFailed
from xraygpt_core.states import ReasonCode

World = Any


def test_two_bundles_write_about_the_same_films_and_are_counted(world: World) -> None:
    films(world, 3)
    begun = begin(world)
    assert (begun["studies"], len(begun["open"]), begun["goes_on"]) == (3, 6, False)
    write(world, begun, lambda _: EFFUSION, [FIRST])
    write(world, begun, lambda _: CLEAR, [SECOND])
    found = result(world, begun)
    assert (found["comparison"]["open"], found["comparison"]["failed"]) == (0, 0)
    assert [found["bundles"][side]["written"] for side in ("first", "second")] == [3, 3]
    normal, effusion = found["figures"]["findings"]
    assert (normal["finding"], normal["only_second"]) == ("normal", 3)
    assert (effusion["finding"], effusion["only_first"], effusion["both"]) == ("effusion", 3, 0)
    assert (found["bundles"]["first"]["seconds_a_text"], found["bundles"]["first"]["devices"]) == (0.5, ["cpu"])
    assert found["bundles"]["first"]["texts_a_second"] > 0


def test_a_text_is_kept_with_its_sections_labels_contradictions_and_origin(world: World) -> None:
    films(world, 1)
    begun = begin(world)
    write(world, begun, lambda _: "Findings: No pleural effusion. Impression: Large left pleural effusion.")
    one, other = drafts(world, begun)
    assert (one["bundle"], other["bundle"]) == ("one", "two")
    assert (one["findings"], one["impression"]) == ("No pleural effusion.", "Large left pleural effusion.")
    assert (one["asserted"], one["uncertain"]) == (["effusion"], [])
    assert one["consistency"][0]["kind"] == "findings/impression"
    assert one["provenance"]["image_sha256"] == begun["open"][0]["image_sha256"]
    assert one["provenance"]["prompt"] == "<image> What is seen?"
    assert result(world, begun)["figures"]["texts"]["first"]["contradicting"]["value"] == 1.0


def test_the_model_reads_the_normalised_film_and_refuses_what_is_no_chest_as_in_service(world: World) -> None:
    films(world, 1)
    begun, backend = begin(world), WritingBackend(lambda _: CLEAR)
    write_texts(through(world.client), begun["comparison_id"], begun["open"][:1], backend, ahead=1, moved=lambda: None)
    (asked,) = backend.asked
    assert hashlib.sha256(asked.image_png).hexdigest() == begun["open"][0]["image_sha256"]
    assert asked.only_chests


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DeviceLost("the device is gone")])
def test_what_was_written_before_an_interruption_stays_and_the_same_question_goes_on(
    world: World, error: BaseException
) -> None:
    films(world, 4)
    begun, texts = begin(world), iter([EFFUSION, EFFUSION, error, EFFUSION])
    with pytest.raises(type(error)):
        write(world, begun, lambda _: next(texts))
    again = begin(world)
    assert (again["comparison_id"], again["goes_on"]) == (begun["comparison_id"], True)
    assert len(again["open"]) == 5
    assert write(world, again, lambda _: CLEAR) == 5
    assert sorted(one["text"] for one in drafts(world, begun)) == sorted([EFFUSION] * 3 + [CLEAR] * 5)


def test_a_film_that_takes_the_device_with_it_is_failed_where_it_was_alone_there(world: World) -> None:
    films(world, 2)
    begun = begin(world)
    backend = WritingBackend(lambda _: DeviceLost("the device is gone"))
    for ahead, left in ((2, 4), (1, 3)):
        with pytest.raises(DeviceLost):
            write_texts(
                through(world.client), begun["comparison_id"], begun["open"], backend, ahead=ahead, moved=lambda: None
            )
        assert len(begin(world)["open"]) == left
    assert [one["reason"] for one in drafts(world, begun)].count("model") == 1


def test_an_interruption_lets_no_other_film_go_on(world: World) -> None:
    films(world, 2)
    begun = begin(world)
    texts = iter([None, KeyboardInterrupt()])
    backend = WritingBackend(lambda _: next(texts))
    with pytest.raises(KeyboardInterrupt):
        write_texts(
            through(world.client), begun["comparison_id"], begun["open"][:2], backend, ahead=2, moved=lambda: None
        )
    assert [asked.cancelled() for asked in backend.asked] == [True, True]


def test_a_finished_comparison_is_not_gone_on_with(world: World) -> None:
    films(world, 1)
    begun = begin(world)
    write(world, begun, lambda _: CLEAR)
    assert begin(world)["comparison_id"] != begun["comparison_id"]


def test_a_second_text_about_a_film_changes_nothing(world: World) -> None:
    films(world, 1)
    begun = begin(world)
    write(world, begun, lambda _: EFFUSION)
    text = {name: begun["open"][0][name] for name in ("study_id", "bundle_sha256")} | {"text": CLEAR}
    answer = world.client.post(f"/v1/comparisons/{begun['comparison_id']}/drafts", json=text)
    assert answer.json() == {"kept": False}
    assert {one["text"] for one in drafts(world, begun)} == {EFFUSION}


def test_a_film_that_fails_is_kept_with_its_reason_and_the_others_go_on(world: World) -> None:
    films(world, 5)
    begun = begin(world)
    lost = begun["open"][0]
    key = f"normalised/{lost['image_id']}.png"
    world.s3.put_object(Bucket=world.settings.derived_bucket, Key=key, Body=b"another film")
    said = iter([Rejected(ReasonCode.NOT_A_CHEST, "x"), RequestFailed("x"), InvalidRequest("x"), " \n"])
    write(world, begun, lambda _: next(said), [FIRST])
    write(world, begun, lambda _: CLEAR, [SECOND])
    reasons = {one["study_id"]: one["reason"] for one in drafts(world, begun) if one["bundle"] == "one"}
    assert reasons[lost["study_id"]] == "picture"
    assert sorted(reasons.values()) == ["empty", "model", "not_a_chest", "picture", "unreadable"]
    found = result(world, begun)
    assert (found["comparison"]["open"], found["comparison"]["failed"]) == (0, 6)
    assert found["bundles"]["second"]["reasons"] == {"picture": 1}
    assert found["figures"]["n"] == 0


def test_the_newest_studies_that_meet_the_conditions_are_chosen(world: World) -> None:
    frontal, oldest = films(world, 1, view="AP")[0], films(world, 3)[0]
    by_view = begin(world, where={"view": ["AP"]})
    assert {one["study_id"] for one in by_view["open"]} == {frontal}
    newest = begin(world, limit=2)
    assert len({one["study_id"] for one in newest["open"]}) == 2
    assert not {oldest, frontal} & {one["study_id"] for one in newest["open"]}


def test_a_study_without_a_film_is_not_chosen(world: World) -> None:
    (image,) = world.submit("in/notes.txt")
    world.reject(image["image_id"])
    answer = world.client.post("/v1/comparisons", json=ASK)
    assert (answer.status_code, "no study with a film" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    "body",
    [
        ASK | {"second": FIRST},
        ASK | {"second": SECOND | {"name": "one"}},
        ASK | {"where": {"q": "Jane"}},
        ASK | {"where": {"mine": True}},
        ASK | {"limit": 1001},
        ASK | {"first": {"name": "../one", "sha256": "1" * 64}},
    ],
)
def test_what_cannot_be_compared_or_may_not_be_kept_is_refused(shared: World, body: dict[str, Any]) -> None:
    assert shared.client.post("/v1/comparisons", json=body).status_code == 422


def test_a_text_and_a_failure_at_once_are_refused(shared: World) -> None:
    text = {"study_id": str(uuid4()), "bundle_sha256": "1" * 64}
    for more in ({}, {"text": "x", "failed": "model"}, {"failed": "tired"}, {"text": ""}):
        answer = shared.client.post(f"/v1/comparisons/{uuid4()}/drafts", json=text | more)
        assert answer.status_code == 422


def test_a_purge_takes_the_texts_along_and_lets_none_come_after_it(world: World) -> None:
    gone, stays = films(world, 2)
    begun = begin(world)
    write(world, begun, lambda _: EFFUSION, [FIRST])
    assert world.client.delete(f"/v1/studies/{gone}").status_code == 204
    assert {one["study_id"] for one in drafts(world, begun)} == {stays}
    late = {"study_id": gone, "bundle_sha256": "2" * 64, "text": CLEAR}
    assert world.client.post(f"/v1/comparisons/{begun['comparison_id']}/drafts", json=late).status_code == 404
    with world.ledger.work() as work:
        assert work.rows("SELECT 1 FROM shadow_drafts WHERE study_id = :id", {"id": UUID(gone)}) == []


def test_a_film_that_moved_to_another_study_is_purged_with_that(world: World) -> None:
    here, there = films(world, 2)
    begun = begin(world)
    do(world.ledger, "UPDATE images SET study_id = :there WHERE study_id = :here", here=UUID(here), there=UUID(there))
    purge_study(world.ledger, UUID(there), lambda _: None)
    assert drafts(world, begun) == []


def test_texts_come_page_by_page_with_both_of_a_study_on_one(world: World) -> None:
    films(world, 3)
    begun = begin(world)
    write(world, begun, lambda _: CLEAR)
    first = drafts(world, begun, limit=2)
    rest = drafts(world, begun, limit=2, after=first[-1]["study_id"])
    assert [len({one["study_id"] for one in page}) for page in (first, rest)] == [2, 1]
    assert [one["bundle"] for one in first + rest] == ["one", "two"] * 3


def test_comparisons_are_listed_and_named_by_their_last_digits(world: World) -> None:
    films(world, 1)
    begun = begin(world, where={"lane": "routine"})
    (one,) = world.client.get("/v1/comparisons").json()["comparisons"]
    assert (one["chosen"], one["open"], one["begun_by"]) == ({"lane": "routine", "limit": 50}, 2, "tests")
    ends = begun["comparison_id"].replace("-", "")[-5:]
    (found,) = world.client.get(f"/v1/handles/comparison/{ends}").json()["candidates"]
    assert (found["id"], found["state"]) == (begun["comparison_id"], "one and two")


def test_two_commands_that_ask_the_same_share_one_comparison(world: World) -> None:
    films(world, 1)
    assert begin(world, asked="a" * 64)["comparison_id"] == begin(world, asked="a" * 64, limit=7)["comparison_id"]
    assert begin(world, asked="b" * 64)["goes_on"] is False
