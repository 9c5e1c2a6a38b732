"""A purge of a study that has all that a study can have: nothing of it is left, whatever the next version adds."""

from dataclasses import replace
from datetime import date, time
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    new_summary,
    one,
    put,
    settle_now,
    signer,
    start_summary,
    take,
)
from tests.support.review_tools import edited, say
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.ledger.studies.chat import ask, complete_turn
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.training.serving import note_images
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.models.base import metadata
from xraygpt_core.sealing import SealedNumbers
from xraygpt_core.states import ImageRole, JobKind

pytestmark = pytest.mark.usefixtures("sound")

WORDS = "Findings: Canary effusion.\n\nImpression: Canary."
FOLDERS = ("normalised", "preview", "deep", "clinical")


def everything(ledger: Ledger, name: str, day: int, view: str = "PA") -> tuple[UUID, UUID]:
    """A film with every object and every fact that ingest can keep, all of them called canaries: image and study."""
    registered = put(ledger, f"canary-{name}-{view}")
    kept = {
        f"{folder}_{part}": f"{folder}/canary-{name}-{view}-{part}" for folder in FOLDERS for part in ("key", "sha256")
    }
    facts = HeaderFacts(date(2021, 3, day), time(8), "L", (0.2, 0.2), "detector")
    said = {f"{one}_pseudonym": f"canary-{one}" for one in ("patient", "accession", "sop")}
    more: dict[str, Any] = {
        "deep_scale": (4095.0, -1.0),
        "deep_window": (2047.5, 4095.0),
        "pixel_sha256": f"canary-{name}-{view}",
    }
    sealed = SealedNumbers("canary-box", "f" * 16)
    more |= {
        "pixel_sha256": f"canary-{name}-{view}",
        "view": view,
        "facts": facts,
        "sealed": sealed,
        "patient_id_pseudonym": "canary-id",
    }
    return registered.image_id, ingest(ledger, registered, film(f"canary-{name}", **said, **kept, **more))


def written_about(ledger: Ledger, study_id: UUID) -> UUID:
    """Its draft, with all that a model can say, a correction of it, and a question with its answer."""
    taken, given = start_summary(ledger, study_id)
    films: dict[str, Any] = {f"{role}_image": found.image_id for role, found in given.further.items()}
    places = ({"phrase": "Canary effusion.", "image": "frontal", "boxes": [[0.0, 0.0, 0.5, 0.5]]},)
    said = replace(
        new_summary(WORDS), **films, grounding=places, reasoning="The canary is yellow.", provenance={"canary": "yes"},
        consistency=({"kind": "side", "one": "Canary left.", "other": "Canary right."},),
    )  # fmt: skip
    summary_id = complete_summary(ledger, taken, given, said)
    say(ledger, summary_id, signer(ledger, f"Dr. {study_id}"), edited("A canary, corrected."))
    turn = ask(ledger, study_id, "Is the canary large?")
    answering = take(ledger, JobKind.CHAT, turn.turn_id)
    complete_turn(ledger, answering, "The canary is large.", "demo", "f" * 64, {"canary": 1}, reasoning="Canary?")
    return summary_id


def mentions(ledger: Ledger, word: str) -> dict[str, int]:
    """In which tables rows hold this word, and how many."""
    counted = {
        table: one(ledger, f'SELECT count(*) FROM "{table}" t WHERE t::text ~* :word', word=word)
        for table in metadata.tables
    }
    return {table: count for table, count in counted.items() if count}


@pytest.fixture
def full(ledger: Ledger) -> tuple[UUID, UUID]:
    """A study and its prior, each with everything; the served bundle looks at all three films."""
    note_images(ledger, "demo", list(ImageRole))
    found = []
    for name, day in (("before", 1), ("now", 2)):
        everything(ledger, name, day, "LATERAL")
        _, study_id = everything(ledger, name, day)
        settle_now(ledger, study_id)
        written_about(ledger, study_id)
        do(ledger, "INSERT INTO assignments (study_id, name, assigned_by) VALUES (:id, 'canary', 'lead')", id=study_id)
        found.append(study_id)
    assert one(ledger, "SELECT count(*) FROM summaries WHERE lateral_image IS NOT NULL") == 2
    assert one(ledger, "SELECT count(*) FROM summaries WHERE prior_image IS NOT NULL") == 1
    return found[0], found[1]


def test_nothing_of_it_is_left_in_any_table_or_in_the_bucket(ledger: Ledger, full: tuple[UUID, UUID]) -> None:
    before = mentions(ledger, "canary")
    assert {"images", "studies", "summaries", "reviews", "chat_turns", "object_keys", "sealed_numbers"} <= set(before)
    deleted: list[str] = []
    for study_id in full:
        purge_study(ledger, study_id, deleted.append)
    expected = {f"{kind}/canary-{name}-{view}-key" for kind in FOLDERS for name in ("before", "now")
                for view in ("PA", "LATERAL")}  # fmt: skip
    assert set(deleted) == expected
    assert len(deleted) == len(expected)
    assert mentions(ledger, "canary") == {}


def test_a_study_that_was_compared_with_it_keeps_its_own(ledger: Ledger, full: tuple[UUID, UUID]) -> None:
    before, now = full
    deleted: list[str] = []
    purge_study(ledger, before, deleted.append)
    assert not [key for key in deleted if "now" in key]
    assert mentions(ledger, "canary-before") == {}
    assert one(ledger, "SELECT count(*) FROM summaries WHERE study_id = :id", id=now) == 1
