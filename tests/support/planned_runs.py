"""Runs on somebody's films: the kinds of their jobs, signed studies, and a ledger with one process's rights."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image
from pydantic import SecretStr

from tests.support import database_roles
from tests.support.training_lab import Lab
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.states import JobKind
from xraygpt_core.training.pairs import Pair

DROPPED = "SELECT position, dropped FROM training_images WHERE dropped IS NOT NULL ORDER BY position"
PLAN, PREPARE, ENCODE, TRAIN = JobKind.PLAN, JobKind.PREPARE, JobKind.ENCODE, JobKind.TRAIN


def normalised(number: int) -> bytes:
    """A grey picture as ingest stores it."""
    pixels = np.random.default_rng(number).integers(0, 255, (256, 256), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def signed_studies(lab: Lab, numbers: range) -> list[Pair]:
    """Studies whose films ingest stored, and what was signed about them."""
    pairs = []
    for number in numbers:
        png = normalised(number)
        study = lab.bench.settled(number, png=png)
        (row,) = lab.bench.rows("SELECT normalised_sha256 FROM images WHERE study_id = :id", id=study)
        split = "val" if number % 5 == 4 else "train"
        pairs.append(Pair(str(study), "x", f"p{number}", split, row["normalised_sha256"], f"Signed text {number}."))
    return pairs


@contextmanager
def ledger_of(lab: Lab, process: str) -> Iterator[Ledger]:
    """A ledger with the rights of one process of ours."""
    settings = lab.context.settings
    url = database_roles.url_as(process, settings.database_url.get_secret_value())
    opened = open_ledger(settings.model_copy(update={"database_url": SecretStr(url)}))
    try:
        yield opened
    finally:
        opened.close()
