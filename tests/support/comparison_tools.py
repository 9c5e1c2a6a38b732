"""What tests of comparisons share: studies with a film in the bucket, and texts sent as the command sends them."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from tests.support.through_gateway import through
from tests.support.writing_backend import WritingBackend
from xraygpt.shadow_texts import write_texts

World = Any

FIRST, SECOND = {"name": "one", "sha256": "1" * 64}, {"name": "two", "sha256": "2" * 64}
ASK = {"first": FIRST, "second": SECOND}
# A draft that says what bundle one would say again.
GREEDY = {"bundle": "one", "bundle_sha256": "1" * 64, "provenance": {"decoding": {"do_sample": False}}}
EFFUSION, CLEAR = "There is a left pleural effusion.", "No acute disease."


def films(world: World, count: int, **more: Any) -> list[str]:
    """Summarised studies, each with a film of its own in the bucket; their ids, the oldest first."""
    return [film(world, **more) for _ in range(count)]


def film(
    world: World,
    text: str = CLEAR,
    *,
    picture: bytes | None = None,
    patient: str | None = None,
    draft: dict[str, Any] | None = None,
    **more: Any,
) -> str:
    """One of them, with this draft about this picture; ``more`` is what ingest found."""
    (image,) = world.submit(f"in/{uuid4().hex}.dcm")
    png = picture or f"film of {image['image_id']}".encode()
    world.s3.put_object(Bucket=world.settings.derived_bucket, Key=f"normalised/{image['image_id']}.png", Body=png)
    sha256 = hashlib.sha256(png).hexdigest()
    pseudonym = None if patient is None else world.pseudonymiser.patient(patient, "ward")
    study_id: str = world.ingest(image["image_id"], normalised_sha256=sha256, patient_pseudonym=pseudonym, **more)
    if draft is not None and "provenance" in draft:
        draft = draft | {"provenance": {"image_sha256": sha256, **draft["provenance"]}}
    world.summarise(study_id, text, **(draft or {}))
    return study_id


def begin(world: World, **more: Any) -> dict[str, Any]:
    answer = world.client.post("/v1/comparisons", json=ASK | more)
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


def write(
    world: World, begun: dict[str, Any], says: Callable[[bytes], Any], sides: Sequence[Any] = (FIRST, SECOND)
) -> int:
    """What the command does; how many texts it went through."""
    moves: list[None] = []
    for side in sides:
        open_films = [one for one in begun["open"] if one["bundle_sha256"] == side["sha256"]]
        backend = WritingBackend(says)
        write_texts(
            through(world.client),
            begun["comparison_id"],
            open_films,
            backend,
            ahead=2,
            moved=lambda: moves.append(None),
        )
    return len(moves)


def result(world: World, begun: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = world.client.get(f"/v1/comparisons/{begun['comparison_id']}").json()
    return found


def drafts(world: World, begun: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.client.get(
        f"/v1/comparisons/{begun['comparison_id']}/drafts", params=query
    ).json()["drafts"]
    return found


def sign(world: World, study_id: str, text: str) -> None:
    summary = world.client.get(f"/v1/studies/{study_id}").json()["summary"]["summary_id"]
    body = {"state": "edited", "text": text, "reviewer": "Dr. A"}
    assert world.client.post(f"/v1/summaries/{summary}/review", json=body).status_code == 200
