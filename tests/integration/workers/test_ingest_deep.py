"""With XRAYGPT_KEEP_16_BIT ingest keeps the film's own values beside its picture."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.worker_bench import Bench, make_film
from workers.consumer import Consumer
from workers.ingest import Ingest
from workers.settle import Settle
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind

CANARY = "DOE^CANARY"
WINDOW: Any = {"WindowCenter": 2048, "WindowWidth": 4096}


def consumer(bench: Bench, **settings: Any) -> Iterator[Callable[[], None]]:
    context = replace(bench.context, settings=bench.settings.model_copy(update=settings))
    work = Ingest(context, load_pseudonymiser(bench.settings))
    bodies: dict[JobKind, Any] = {JobKind.INGEST: work, JobKind.SETTLE: Settle(context)}
    yield Consumer(context, queues_of(JobKind.SETTLE, JobKind.INGEST), bodies)
    work.close()


@pytest.fixture
def ingest(bench: Bench) -> Iterator[Callable[[], None]]:
    """Does every open ingest and settle job in this process, keeping 16 bits."""
    yield from consumer(bench, keep_16_bit=True)


def test_a_film_keeps_its_own_values_beside_its_picture(bench: Bench, ingest: Callable[[], None]) -> None:
    bench.register("one.dcm", make_film(1, PhotometricInterpretation="MONOCHROME1", **WINDOW))
    ingest()
    (image,) = bench.rows("SELECT * FROM images")
    png = bench.store.get(image["deep_key"])
    assert image["deep_sha256"] == hashlib.sha256(png).hexdigest()
    assert image["deep_key"] == f"deep/{image['deep_sha256'][:2]}/{image['deep_sha256']}.png"
    codes = np.asarray(Image.open(BytesIO(png)))
    picture = np.asarray(Image.open(BytesIO(bench.store.get(image["normalised_key"]))))
    assert codes.shape == picture.shape
    assert len(np.unique(codes)) > 256 >= len(np.unique(picture))
    assert image["deep_scale"][1] == -1  # low values are bright
    assert image["deep_window"] == pytest.approx([2047.5, 4095])


def test_without_the_setting_nothing_more_is_kept(bench: Bench) -> None:
    bench.register("one.dcm", make_film(2))
    for work in consumer(bench):
        work()
    assert bench.rows("SELECT deep_key, deep_sha256, deep_scale, deep_window FROM images") == [
        dict.fromkeys(("deep_key", "deep_sha256", "deep_scale", "deep_window"))
    ]
    assert {key.partition("/")[0] for key in bench.keys(bench.settings.derived_bucket)} == {"normalised", "preview"}


def test_no_identifier_is_in_what_is_kept(bench: Bench, ingest: Callable[[], None]) -> None:
    bench.register(f"{CANARY}.dcm", make_film(3, PatientName=CANARY, InstitutionName=CANARY))
    ingest()
    keys = bench.keys(bench.settings.derived_bucket)
    assert {key.partition("/")[0] for key in keys} == {"normalised", "preview", "deep"}
    for key in keys:
        assert CANARY not in key
        assert CANARY.encode() not in bench.store.get(key)


def test_a_purge_leaves_nothing_of_it(bench: Bench, ingest: Callable[[], None]) -> None:
    registered = bench.register("one.dcm", make_film(4))
    ingest()
    purge_study(bench.ledger, registered.study_id, bench.store.delete)
    assert bench.keys(bench.settings.derived_bucket) == []


def test_a_film_purged_while_it_is_read_leaves_nothing_of_it(
    bench: Bench, ingest: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = bench.store.put

    def put_and_purge(key: str, data: bytes, content_type: str) -> None:
        put(key, data, content_type)
        if key.startswith("deep/"):
            purge_study(bench.ledger, bench.value("SELECT id FROM studies"), bench.store.delete)

    monkeypatch.setattr(bench.store, "put", put_and_purge)
    bench.register("one.dcm", make_film(5))
    ingest()
    assert bench.keys(bench.settings.derived_bucket) == []
