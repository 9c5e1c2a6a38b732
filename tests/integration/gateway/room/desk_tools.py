"""Studies for the desk: several images, priors, films with a scale, texts with findings."""

import os
from typing import Any
from uuid import UUID

from tests.integration.gateway.room.conftest import hashes, picture
from tests.support.ledger_tools import do
from tests.support.study_steps import settle
from xraygpt_core.states import JobKind

World = Any

SECTIONED = "Findings: No pleural effusion or pneumothorax. Heart enlarged.\n\nImpression: Cardiomegaly."
# finding, side, zone, status, its words
NAMED = (
    ("effusion", None, None, "absent", "No pleural effusion"),
    ("pneumothorax", None, None, "absent", "pneumothorax"),
    ("cardiomegaly", None, None, "present", "Heart enlarged"),
    ("cardiomegaly", None, None, "present", "Cardiomegaly"),
)


def study_of(
    world: World,
    text: str = "No acute disease.",
    views: tuple[str, ...] = ("PA",),
    shades: tuple[int, ...] = (160, 90),
    **more: Any,
) -> tuple[str, str, list[str]]:
    """A summarised study of one picture for each view: study id, summary id, image ids in the order of the views."""
    same = {"study_pseudonym": world.pseudonymiser.study(os.urandom(6).hex()), "expected_images": len(views)}
    same |= {"rows": 500, "columns": 400}
    images = [one["image_id"] for one in world.submit(*(f"in/{os.urandom(6).hex()}.dcm" for _ in views))]
    study_id = ""
    for place, (image_id, view) in enumerate(zip(images, views, strict=True)):
        png = picture(shades[place])
        study_id = world.ingest(image_id, view=view, **hashes(png) | same | more)
        for folder in ("normalised", "preview"):
            key = f"{folder}/{image_id}.png"
            world.s3.put_object(Bucket=world.settings.derived_bucket, Key=key, Body=png)
    for _ in images[1:]:
        settle(world.ledger, world.claim(JobKind.SETTLE, study_id))  # of an earlier revision: it waits for the rest
    return study_id, world.summarise(study_id, text), images


def facts(world: World, study_id: str, **values: Any) -> None:
    """What the headers of a study's images say."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    do(world.ledger, f"UPDATE images SET {columns} WHERE study_id = :id", id=UUID(study_id), **values)


def name_findings(world: World, summary_id: str, text: str = SECTIONED) -> None:
    """The findings of a draft, as the labeller would name them."""
    about = {"id": UUID(summary_id)}
    do(world.ledger, "DELETE FROM labelled_texts WHERE source_id = :id", **about)
    do(world.ledger, "INSERT INTO labelled_texts (source, source_id, labeller) VALUES ('draft', :id, 'test')", **about)
    for position, (finding, side, zone, status, words) in enumerate(NAMED):
        first = text.index(words)
        do(
            world.ledger,
            "INSERT INTO finding_labels "
            "VALUES ('draft', :id, :position, :finding, :side, :zone, :status, :first, :last)",
            position=position,
            finding=finding,
            side=side,
            zone=zone,
            status=status,
            first=first,
            last=first + len(words),
            **about,
        )
