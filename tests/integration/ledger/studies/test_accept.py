"""A plain image is written with many others in one statement, any image alone: both leave equal rows."""

import json
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledger_tools import film, picture, put, rows
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.studies import accept
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, JobKind, Lane, Origin

pytestmark = pytest.mark.usefixtures("sound")

_worlds = count()
TEXT = st.sampled_from([None, "a", "b"])
IMAGES = st.fixed_dictionaries(
    {
        "study": st.sampled_from([None, "1", "2", "3"]),
        "view": st.sampled_from([None, "PA", "LATERAL"]),
        "expected_images": st.sampled_from([None, 0, 1, 2]),
        "accession_pseudonym": TEXT,
        "sop_pseudonym": TEXT,
        "pixel_sha256": st.sampled_from(["p", "q"]),
        "flags": st.sampled_from([(), (Flag.SYNTHETIC,), (Flag.VIEW_UNKNOWN, Flag.SECONDARY_CAPTURE)]),
        "origin": st.sampled_from(Origin),
        "modality": TEXT,
        "rows": st.integers(224, 4000),
    }
)

# Everything but what differs by nature: ids, moments, waits, places in the lane, and which of two equal images counts.
STORED = """
    SELECT key.key, to_jsonb(i) - ARRAY['id', 'study_id', 'received_at', 'finished_at', 'duplicate_of']
               || jsonb_build_object('copy', i.duplicate_of IS NOT NULL) AS image,
           to_jsonb(s) - ARRAY['id', 'received_at', 'last_image_at', 'place'] AS study,
           s.last_image_at IS NOT NULL AND i.finished_at IS NOT NULL AS times,
           (SELECT jsonb_agg(jsonb_build_object('kind', kind, 'revision', split_part(j.key, ':', 2), 'state', state,
                             'lane', j.lane_rank, 'place', j.place = s.place, 'later', not_before > created_at,
                             'attempts', attempts, 'most', max_attempts) ORDER BY kind, j.key)
            FROM jobs j WHERE j.subject IN (s.id, i.id)) AS jobs,
           (SELECT jsonb_agg(jsonb_build_object('what', what, 'who', who, 'attempt', attempt, 'epoch', epoch,
                             'detail', detail - 'waited_seconds', 'job', job_id IS NOT NULL) ORDER BY t.id)
            FROM timeline t WHERE t.image_id = i.id AND t.study_id = s.id) AS timeline
    FROM images i JOIN studies s ON s.id = i.study_id JOIN object_keys key ON key.image_id = i.id
    WHERE key.key LIKE :world ORDER BY key.key
"""


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(IMAGES, min_size=1, max_size=4), st.sampled_from(Lane))
def test_an_image_leaves_equal_rows_whether_it_is_accepted_with_others_or_alone(
    ledger: Ledger, images: Sequence[Mapping[str, Any]], lane: Lane
) -> None:
    slow = Ledger(ledger.settings.model_copy(update={"settle_seconds": 60.0}), ledger.database, ledger.doorbell)
    together = stored_after(slow, images, lane)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accept, "accept_plain", lambda *_: set())
        assert stored_after(slow, images, lane) == together


def stored_after(ledger: Ledger, images: Sequence[Mapping[str, Any]], lane: Lane) -> Any:
    """What is stored of these images, which nothing but each other is beside."""
    world = f"w{next(_worlds)}-"
    for number in range(len(images)):
        put(ledger, f"{world}{number}", lane=lane)
    claims = claim_next(ledger, [(JobKind.INGEST, lane)], "w", limit=len(images))
    read = [(claim, of(world, number, one)) for number, (claim, one) in enumerate(zip(claims, images, strict=True))]
    assert len(accept.complete_ingests(ledger, read)) == len(images)
    stored = rows(ledger, STORED, world=f"{world}%")
    assert len(stored) == len(images)
    return json.loads(json.dumps(stored, default=str).replace(world, ""))


def of(world: str, number: int, values: Mapping[str, Any]) -> Any:
    """A film of a world of its own; a picture if it names no study."""
    names = dict(values)
    study = names.pop("study")
    keys = {
        name: f"{world}{name}-{number}"
        for name in ("normalised_key", "normalised_sha256", "preview_key", "preview_sha256")
    }
    names |= {**keys, "pixel_sha256": world + names["pixel_sha256"], "patient_pseudonym": None}
    for name in ("accession_pseudonym", "sop_pseudonym"):
        names[name] = names[name] and world + names[name]
    return picture(**names) if study is None else film(world + study, **names)
