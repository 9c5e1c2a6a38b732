"""Each bundle of a comparison is shown the films and words that it is shown in service; what is gone is counted."""

import datetime
import hashlib
import json
from typing import Any
from uuid import UUID

import pytest

from tests.support.clinical_keys import ANOTHER_OPENER, OPENER, SEALER
from tests.support.comparison_tools import CLEAR, FIRST, SECOND, begin, drafts, film, result
from tests.support.ledger_tools import do, one
from tests.support.through_gateway import through
from tests.support.writing_backend import WritingBackend
from xraygpt.shadow_texts import write_texts
from xraygpt_core.clinical_sealing import ClinicalOpener, box_key
from xraygpt_core.clinical_text import UNKNOWN, Clinical
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.ledger.studies.purge import purge_study

World = Any
EVERY = SECOND | {"images": ["frontal", "lateral", "prior"], "clinical": True}
HEADER, SAID = Clinical("CANARYREASON of the header", "CANARYTECHNIQUE"), Clinical("CANARYCOUGH", None, "CANARYMAY")


@pytest.fixture
def compared(world: World) -> tuple[str, str]:
    """A study with a lateral and words of header and request, and its prior."""
    prior = film(world, patient="P", facts=HeaderFacts(acquired_on=datetime.date(2021, 3, 1)))
    study = film(world, patient="P", facts=HeaderFacts(acquired_on=datetime.date(2021, 3, 2)))
    lateral = film(world, patient="P", facts=HeaderFacts(acquired_on=datetime.date(2021, 3, 2)))
    image = one(world.ledger, "SELECT chosen_image FROM studies WHERE id = :id", id=UUID(study))
    do(world.ledger, "UPDATE images SET study_id = :study, view = 'LATERAL' WHERE study_id = :other",
       study=UUID(study), other=UUID(lateral))  # fmt: skip
    do(world.ledger, "UPDATE studies SET chosen_image = NULL WHERE id = :id", id=UUID(lateral))
    for words, keep in ((HEADER, _in_bucket), (SAID, _in_ledger)):
        box = SEALER.seal(image, words)
        assert box is not None
        keep(world, image, box)
    return study, prior


def _in_bucket(world: World, image: UUID, box: bytes) -> None:
    key, sha256 = box_key(box)
    world.store.put(key, box, "application/octet-stream")
    do(world.ledger, "UPDATE images SET clinical_key = :key, clinical_sha256 = :sha256 WHERE id = :id",
       key=key, sha256=sha256, id=image)  # fmt: skip


def _in_ledger(world: World, image: UUID, box: bytes) -> None:
    sha256 = hashlib.sha256(box).hexdigest()
    do(world.ledger, "INSERT INTO request_words (image_id, box, sha256) VALUES (:id, :box, :sha256)",
       id=image, box=box, sha256=sha256)  # fmt: skip


def of(begun: Any, study: str, side: Any) -> Any:
    key = (study, side["sha256"])
    return next(one for one in begun["open"] if (one["study_id"], one["bundle_sha256"]) == key)


def write(world: World, begun: Any, *texts: Any, opener: ClinicalOpener | None = OPENER) -> WritingBackend:
    backend = WritingBackend(lambda _: CLEAR)
    write_texts(
        through(world.client), begun["comparison_id"], texts, backend, ahead=1, moved=lambda: None, opener=opener
    )
    return backend


def reason_of(world: World, begun: Any, study: str) -> Any:
    return drafts(world, begun, study_id=study)[1]["reason"]


def test_a_bundle_is_shown_the_films_and_words_that_it_reads_and_the_other_its_one_film(
    world: World, compared: tuple[str, str]
) -> None:
    begun = begin(world, second=EVERY)
    (plain,) = write(world, begun, of(begun, compared[0], FIRST)).asked
    assert (plain.lateral_png, plain.prior_png, plain.clinical) == (None, None, UNKNOWN)
    (full,) = write(world, begun, of(begun, compared[0], EVERY)).asked
    assert full.clinical == SAID.before(HEADER)
    beside = of(begun, compared[0], EVERY)["beside"]
    assert beside["prior"]["study_id"] == compared[1]
    for role, png in (("lateral", full.lateral_png), ("prior", full.prior_png)):
        assert hashlib.sha256(png or b"").hexdigest() == beside[role]["sha256"]
    assert full.only_chests


def test_the_shadow_drafts_provenance_says_what_was_shown(world: World, compared: tuple[str, str]) -> None:
    begun = begin(world, second=EVERY)
    for side in (FIRST, EVERY):
        write(world, begun, of(begun, compared[0], side))
    plain, full = (one["provenance"] for one in drafts(world, begun, study_id=compared[0]))
    beside = of(begun, compared[0], EVERY)["beside"]
    assert set(plain["images"]) == {"frontal"}
    assert full["images"] == plain["images"] | {role: beside[role]["sha256"] for role in ("lateral", "prior")}
    assert [full[name] for name in ("clinical_sha256", "request_sha256")] == [
        beside[name] for name in ("clinical_sha256", "request_sha256")
    ]
    assert result(world, begun)["bundles"]["second"]["beside"] == {"lateral": 1, "prior": 1, "words": 1}
    assert one(world.ledger, "SELECT count(*) FROM shadow_drafts d WHERE d::text LIKE '%CANARY%'") == 0


@pytest.mark.parametrize(
    "gone",
    [
        "DELETE FROM request_words WHERE image_id = (SELECT chosen_image FROM studies WHERE id = :id)",
        "UPDATE images SET clinical_key = 'clinical/none', clinical_sha256 = 'none' "
        "WHERE id = (SELECT chosen_image FROM studies WHERE id = :id)",
    ],
)
def test_where_words_are_gone_the_pair_is_left_out_and_counted(
    world: World, compared: tuple[str, str], gone: str
) -> None:
    begun = begin(world, second=EVERY)
    do(world.ledger, gone, id=UUID(compared[0]))
    assert write(world, begun, of(begun, compared[0], EVERY)).asked == []
    assert reason_of(world, begun, compared[0]) == "words"
    found = result(world, begun)
    assert found["bundles"]["second"]["reasons"] == {"words": 1}
    assert found["figures"]["n"] == 0


def test_words_that_were_sealed_for_another_key_are_not_left_out_silently(
    world: World, compared: tuple[str, str]
) -> None:
    begun = begin(world, second=EVERY)
    assert write(world, begun, of(begun, compared[0], EVERY), opener=ANOTHER_OPENER).asked == []
    assert reason_of(world, begun, compared[0]) == "words"


def test_where_the_prior_was_purged_the_pair_is_left_out(world: World, compared: tuple[str, str]) -> None:
    begun = begin(world, second=EVERY)
    purge_study(world.ledger, UUID(compared[1]), world.store.delete)
    assert write(world, begun, of(begun, compared[0], EVERY)).asked == []
    assert reason_of(world, begun, compared[0]) == "picture"


def test_a_text_beside_a_film_that_is_no_longer_the_same_patients_is_not_kept(
    world: World, compared: tuple[str, str]
) -> None:
    begun = begin(world, second=EVERY)
    other = world.pseudonymiser.patient("another", "ward")
    text = of(begun, compared[0], EVERY)
    do(world.ledger, "UPDATE studies SET patient_pseudonym = :other WHERE id = :id", other=other, id=UUID(compared[1]))
    write(world, begun, text)
    assert reason_of(world, begun, compared[0]) == "picture"
    assert one(world.ledger, "SELECT count(*) FROM shadow_drafts WHERE text IS NOT NULL AND bundle = 'two'") == 0


def test_a_standing_draft_is_taken_where_it_was_shown_the_same(world: World, compared: tuple[str, str]) -> None:
    first = EVERY | FIRST
    beside = of(begin(world, second=EVERY), compared[0], EVERY)["beside"]
    shown: dict[str, Any] = {"decoding": {"do_sample": False}}
    shown |= {"images": {role: beside[role]["sha256"] for role in ("lateral", "prior")}}
    shown |= {name: beside[name] for name in ("clinical_sha256", "request_sha256")}
    do(world.ledger, "UPDATE summaries SET bundle = 'one', bundle_sha256 = :sha256, provenance = jsonb_build_object("
       "'image_sha256', i.normalised_sha256) || CAST(:shown AS jsonb) "
       "FROM images i WHERE i.id = summaries.image_id AND summaries.study_id = :id",
       sha256=FIRST["sha256"], shown=json.dumps(shown), id=UUID(compared[0]))  # fmt: skip
    begun = begin(world, first=first, second=SECOND | {"name": "three", "sha256": "3" * 64}, limit=49)
    assert drafts(world, begun, study_id=compared[0])[0]["state"] == "taken"
    plain = begin(world, second=SECOND | {"name": "three", "sha256": "3" * 64}, limit=48)
    assert drafts(world, plain, study_id=compared[0])[0]["state"] == "open"


def test_the_gateway_hands_boxes_out_as_they_are_and_to_leads_alone(world: World, compared: tuple[str, str]) -> None:
    begun = begin(world, second=EVERY)
    path = f"/v1/comparisons/{begun['comparison_id']}/words/{compared[0]}"
    answer = world.client.get(path)
    assert set(answer.json()["boxes"]) == {"clinical_sha256", "request_sha256"}
    assert "CANARY" not in answer.text
    assert world.client.get(path.replace(compared[0], compared[1])).json()["boxes"] == {}
    assert world.client.get(path.replace(compared[0], begun["comparison_id"])).status_code == 404
