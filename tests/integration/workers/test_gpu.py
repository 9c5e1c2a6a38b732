"""Summaries and chat through a small engine of ours, with a real ledger and bucket."""

import hashlib
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from tests.support.gpu_worker import BUNDLE, Desk, generated
from tests.support.study_steps import settle
from tests.support.worker_bench import Bench
from workers.serving import watch
from xraygpt_core.errors import Rejected
from xraygpt_core.ledger.studies.chat import ask, transcript
from xraygpt_core.ledger.training.serving import ServedBundle, serve, served_bundle
from xraygpt_core.metrics import CONTRADICTIONS, OUT_OF_SCOPE, PICTURES_REFUSED
from xraygpt_core.model.backend import Chest, Generated, GenerationRequest
from xraygpt_core.model.grounding import Grounding, Phrase
from xraygpt_core.states import ImageRole, JobKind, Lane, ReasonCode


def summary(bench: Bench) -> dict[str, Any]:
    (row,) = bench.rows("SELECT * FROM summaries")
    return row


def job(bench: Bench, kind: JobKind) -> tuple[str, int]:
    (row,) = bench.rows("SELECT state, attempts FROM jobs WHERE kind = :kind", kind=kind)
    return row["state"], row["attempts"]


def test_a_study_gets_its_summary_with_its_provenance(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    row = summary(desk.bench)
    assert (row["summary"], row["findings"], row["impression"]) == ("Normal chest.", "Clear lungs.", "Normal.")
    assert (row["bundle"], row["bundle_sha256"], row["tokens"], row["batch_size"]) == ("demo", "b" * 64, 7, 3)
    assert row["provenance"] == {
        "image_sha256": desk.bench.value("SELECT normalised_sha256 FROM images"),
        "images": {"frontal": desk.bench.value("SELECT normalised_sha256 FROM images")},
        "prompt": "###Patient: <Img>[image tokens]</Img> What do you see? ###Doctor:",
        "template": "xraygpt-code",
        "decoding": {"max_new_tokens": 96},
        "seed": None,
        "software": {"torch": "2.13.0"},
        "waited_seconds": 0.123,
        "generate_seconds": 1.0,
        "scope": {"made_for": "synthetic", "says": "For drawn films only.", "card": None, "validated_on": []},
    }
    assert desk.bench.value("SELECT state FROM studies WHERE id = :id", id=study) == "summarised"


def test_the_engine_sees_the_normalised_image_and_nothing_else(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    assert desk.engine.requests == [GenerationRequest(b"normalised image 1", only_chests=True)]


@pytest.fixture
def three(desk: Desk, study: UUID) -> Desk:
    """A reader whose bundle looks at three films, and a study that has them."""
    others = [desk.bench.settled(number) for number in (2, 3)]
    lateral, prior = (desk.bench.value("SELECT id FROM images WHERE study_id = :id", id=other) for other in others)
    sql = "UPDATE images SET study_id = :study, view = 'LATERAL' WHERE id = :lateral RETURNING id"
    desk.bench.rows(sql, study=study, lateral=lateral)
    chosen = "UPDATE studies SET chosen_lateral = :lateral, chosen_prior = :prior WHERE id = :study RETURNING id"
    desk.bench.rows(chosen, study=study, lateral=lateral, prior=prior)
    desk.bench.one_patient(study, others[1])
    desk.bench.rows("UPDATE jobs SET state = 'cancelled' WHERE subject <> :study RETURNING id", study=study)
    desk.reader._bundle = SimpleNamespace(**vars(BUNDLE) | {"images": tuple(ImageRole)})  # type: ignore[assignment]
    return desk


def test_the_engine_sees_the_lateral_and_the_prior_and_the_provenance_names_them(three: Desk, study: UUID) -> None:
    three.do(JobKind.SUMMARISE)
    pngs = [b"normalised image %d" % number for number in (1, 2, 3)]
    assert three.engine.requests == [
        GenerationRequest(pngs[0], lateral_png=pngs[1], prior_png=pngs[2], only_chests=True)
    ]
    images = dict(zip(ImageRole, (hashlib.sha256(png).hexdigest() for png in pngs), strict=True))
    row = summary(three.bench)
    assert row["provenance"]["images"] == images
    assert row["provenance"]["image_sha256"] == images[ImageRole.FRONTAL]
    chosen = three.bench.rows("SELECT chosen_lateral, chosen_prior FROM studies WHERE id = :id", id=study)
    assert chosen == [{"chosen_lateral": row["lateral_image"], "chosen_prior": row["prior_image"]}]
    ask(three.bench.ledger, study, "Is there an effusion?")
    three.do(JobKind.CHAT)
    assert three.engine.requests[-1].prior_png == pngs[2]
    (turn,) = transcript(three.bench.ledger, study)
    assert turn.provenance is not None
    assert turn.provenance["images"] == images


def test_a_prior_that_changed_in_the_bucket_is_not_shown(three: Desk, study: UUID) -> None:
    key = "SELECT normalised_key FROM images i JOIN studies s ON s.chosen_prior = i.id WHERE s.id = :id"
    three.bench.store.put(three.bench.value(key, id=study), b"something else", "image/png")
    three.do(JobKind.SUMMARISE)
    assert three.engine.requests == []
    assert three.bench.value("SELECT count(*) FROM summaries") == 0


def test_the_places_that_a_text_names_are_kept(desk: Desk, study: UUID) -> None:
    found = Grounding((Phrase("Left effusion.", ((0.5, 0.5, 0.75, 1.0),)),), malformed=1)
    desk.engine.answer = lambda request, hooks: replace(generated("Left effusion."), grounding=found)
    desk.do(JobKind.SUMMARISE)
    assert summary(desk.bench)["grounding"] == [
        {"phrase": "Left effusion.", "image": "frontal", "boxes": [[0.5, 0.5, 0.75, 1.0]]},
        {"malformed": 1},
    ]


def test_a_picture_that_is_no_chest_ends_its_study_and_no_other(desk: Desk, study: UUID) -> None:
    hand = desk.bench.settled(2, Lane.ROUTINE)

    def answer(request: Any, _hooks: SimpleNamespace) -> Generated:
        if request.image_png == b"normalised image 2":
            raise Rejected(ReasonCode.NOT_A_CHEST, "the score is too low")
        return generated("Normal chest.")

    desk.engine.answer = answer
    desk.do(JobKind.SUMMARISE)
    settle(desk.bench.ledger, desk.bench.claimed(JobKind.SETTLE))
    states = desk.bench.rows("SELECT id, state, reason_code FROM studies")
    assert {row["id"]: (row["state"], row["reason_code"]) for row in states} == {
        study: ("summarised", None),
        hand: ("rejected", "not_a_chest"),
    }
    assert desk.stopped == []


def test_a_text_about_a_picture_in_doubt_says_so(desk: Desk, study: UUID) -> None:
    desk.engine.answer = lambda request, hooks: replace(generated("Normal chest."), chest=Chest(1.25, uncertain=True))
    desk.do(JobKind.SUMMARISE)
    row = summary(desk.bench)
    assert row["provenance"]["chest_score"] == 1.25
    assert "chest_uncertain" in row["flags"]


def test_lanes_and_chat_have_their_rank(desk: Desk) -> None:
    for number, lane in enumerate([Lane.BACKLOG, Lane.STAT, Lane.ROUTINE]):
        desk.bench.settled(number, lane)
    desk.do(JobKind.SUMMARISE)
    assert desk.engine.ranks == [3, 1, 2]
    ask(desk.bench.ledger, desk.bench.value("SELECT study_id FROM summaries LIMIT 1"), "Is there an effusion?")
    desk.do(JobKind.CHAT)
    assert desk.engine.ranks[-1] == 0


def test_an_image_that_changed_in_the_bucket_is_not_summarised(desk: Desk, study: UUID) -> None:
    desk.bench.store.put(desk.bench.value("SELECT normalised_key FROM images"), b"something else", "image/png")
    before = PICTURES_REFUSED._value.get()
    desk.do(JobKind.SUMMARISE)
    assert PICTURES_REFUSED._value.get() == before + 1
    assert desk.engine.requests == []
    assert job(desk.bench, JobKind.SUMMARISE) == ("queued", 1)


def test_no_text_is_no_summary(desk: Desk, study: UUID) -> None:
    desk.engine.answer = lambda request, hooks: generated("  ")
    desk.do(JobKind.SUMMARISE)
    assert desk.bench.value("SELECT count(*) FROM summaries") == 0
    assert job(desk.bench, JobKind.SUMMARISE) == ("queued", 1)


def test_a_chat_turn_sees_the_summary_and_the_turns_before_it(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    desk.engine.answer = lambda request, hooks: generated(f"Answer to {request.question}")
    for question in ("First?", "Second?"):
        ask(desk.bench.ledger, study, question)
        desk.do(JobKind.CHAT)
    assert desk.engine.requests[-1] == GenerationRequest(
        b"normalised image 1", "Second?", (("What do you see?", "Normal chest."), ("First?", "Answer to First?"))
    )
    assert [turn.answer for turn in transcript(desk.bench.ledger, study)] == ["Answer to First?", "Answer to Second?"]


def test_a_film_of_a_person_lies_outside_of_a_model_for_drawn_films(desk: Desk, study: UUID) -> None:
    before = OUT_OF_SCOPE.labels(JobKind.SUMMARISE)._value.get()
    desk.do(JobKind.SUMMARISE)
    assert summary(desk.bench)["flags"] == ["out_of_scope"]
    assert OUT_OF_SCOPE.labels(JobKind.SUMMARISE)._value.get() == before + 1
    ask(desk.bench.ledger, study, "Is the heartbeat enlarged?")
    desk.do(JobKind.CHAT)
    (turn,) = transcript(desk.bench.ledger, study)
    assert turn.flags == ["out_of_scope"]
    assert turn.scope == {"made_for": "synthetic", "says": "For drawn films only.", "card": None, "validated_on": []}


def test_a_drawn_film_lies_inside(desk: Desk, study: UUID) -> None:
    desk.bench.rows("UPDATE images SET flags = '{synthetic}' RETURNING id")
    desk.do(JobKind.SUMMARISE)
    assert summary(desk.bench)["flags"] == []


def test_a_text_that_its_model_could_not_end_is_marked(desk: Desk, study: UUID) -> None:
    said = replace(generated("Findings: the lungs"), cut_off=True)
    desk.engine.answer = lambda request, hooks: said
    desk.do(JobKind.SUMMARISE)
    assert summary(desk.bench)["flags"] == ["out_of_scope", "cut_off"]
    ask(desk.bench.ledger, study, "Is the heart enlarged?")
    desk.do(JobKind.CHAT)
    (turn,) = transcript(desk.bench.ledger, study)
    assert turn.flags == ["out_of_scope", "cut_off"]


def test_a_draft_that_contradicts_itself_is_marked_and_counted(desk: Desk, study: UUID) -> None:
    before = CONTRADICTIONS.labels("findings/impression")._value.get()
    said = replace(generated("x"), findings="No pleural effusion.", impression="Left pleural effusion.")
    desk.engine.answer = lambda request, hooks: said
    desk.do(JobKind.SUMMARISE)
    row = summary(desk.bench)
    assert row["flags"] == ["out_of_scope", "consistency"]
    assert row["consistency"] == [
        {"kind": "findings/impression", "one": "No pleural effusion.", "other": "Left pleural effusion."}
    ]
    assert CONTRADICTIONS.labels("findings/impression")._value.get() == before + 1


def test_an_answer_against_what_the_reader_wrote_is_marked(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    corrected = "UPDATE summaries SET review_state = 'edited', edited_summary = 'Left pleural effusion.' RETURNING id"
    desk.bench.rows(corrected)
    ask(desk.bench.ledger, study, "Is there an effusion?")
    desk.engine.answer = lambda request, hooks: generated("No pleural effusion.")
    desk.do(JobKind.CHAT)
    (turn,) = transcript(desk.bench.ledger, study)
    assert turn.flags == ["out_of_scope", "consistency"]
    assert turn.consistency == [{"kind": "chat", "one": "No pleural effusion.", "other": "Left pleural effusion."}]


def test_an_answer_is_shown_while_it_is_written(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)

    def answer(_request: Any, hooks: SimpleNamespace) -> Generated:
        hooks.on_progress()
        hooks.on_text("No")
        desk.bench.eventually(
            lambda: transcript(desk.bench.ledger, study)[0].answer == "No", "the first word is stored"
        )
        hooks.on_text("No effusion.")
        return generated("No effusion.")

    desk.engine.answer = answer
    ask(desk.bench.ledger, study, "Is there an effusion?")
    desk.do(JobKind.CHAT)
    (turn,) = transcript(desk.bench.ledger, study)
    assert (turn.answer, turn.state) == ("No effusion.", "done")


def test_the_timeline_says_who_shared_the_batch_and_how_long_it_took(desk: Desk, study: UUID) -> None:
    desk.do(JobKind.SUMMARISE)
    detail = desk.bench.value("SELECT detail FROM timeline WHERE what = 'summarised'")
    assert {name: detail[name] for name in ("tokens", "batch_size", "waited_seconds", "generate_seconds")} == {
        "tokens": 7,
        "batch_size": 3,
        "waited_seconds": 0.123,
        "generate_seconds": 1.0,
    }


def test_a_worker_leaves_when_another_bundle_is_promoted(bench: Bench) -> None:
    left = threading.Event()
    watch(bench.ledger, served_bundle(bench.ledger), left.set, seconds=0.05)
    assert not left.wait(0.3)
    assert serve(bench.ledger, "stage2-1234") == ServedBundle("stage2-1234", None)
    assert left.wait(60)
