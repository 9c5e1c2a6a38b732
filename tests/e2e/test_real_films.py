"""The real input: DICOM files and pictures of people, where they are at hand."""

import json
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)

EXPECTED_DICOM = {
    "cr_chest_pa_explicit_mono1_10bit.dcm": ("summarised", None),
    "cr_chest_pa_j2k_mono1_15bit.dcm": ("summarised", None),
    "cr_chest_pa_jpegbaseline_mono2_8bit.dcm": ("summarised", None),
    "cr_extremity_jpegll_mono1.dcm": ("rejected", "wrong_body_part"),
    "cr_hip_rle_mono2.dcm": ("rejected", "wrong_body_part"),
    "dx_thorax_DOG_explicit_mono1_8bit_small.dcm": ("rejected", "too_small"),
    "sc_modality_lut_sequence.dcm": ("rejected", "wrong_modality"),
    "sc_voi_lut_sequence.dcm": ("rejected", "wrong_modality"),
}


def chest_pictures(shared_data: Path, count: int) -> list[Path]:
    """The first chest pictures of the manifest that may be used for anything."""
    lines = [json.loads(line) for line in (shared_data / "manifest.jsonl").read_text().splitlines()]
    chests = [shared_data / line["image"] for line in lines if line["kind"] == "cxr" and "/covid/" not in line["image"]]
    return chests[:count]


@pytest.fixture(scope="module")
def films(stack, shared_data):
    """What submitting the real films gave."""
    pictures = chest_pictures(shared_data, 5)
    return stack.call("submit", str(shared_data / "dicom"), *map(str, pictures), "--wait")


def test_chests_are_summarised_and_everything_else_is_rejected_with_its_reason(films):
    ended = {Path(row["source"]).name: (row["state"], row["reason_code"]) for row in films.document["studies"]}

    assert {name: ended[name] for name in EXPECTED_DICOM} == EXPECTED_DICOM
    assert films.document["counts"] == {"summarised": 8, "rejected": 5}
    assert films.code == 0, "rejected inputs count as done"


def test_every_summary_has_text_and_no_rejected_input_has(films):
    for row in films.document["studies"]:
        assert bool(row["summary"]) == (row["state"] == "summarised"), row["state"]


def test_submitting_the_same_films_again_makes_nothing_new(stack, films, shared_data):
    counted = "SELECT (SELECT count(*) FROM studies), (SELECT count(*) FROM summaries), (SELECT count(*) FROM jobs)"
    before = stack.rows(counted)

    again = stack.call("submit", str(shared_data / "dicom"), "--wait")

    assert stack.rows(counted) == before
    first = {row["source"]: row["study_id"] for row in films.document["studies"]}
    assert all(first[row["source"]] == row["study_id"] for row in again.document["studies"])


def test_bare_pictures_are_marked_as_unverified(stack, films):
    picture = next(row for row in films.document["studies"] if not row["source"].endswith(".dcm"))
    shown = stack.call("summary", picture["study_id"])

    assert "not_verified_chest" in json.dumps(shown.document)


def test_summaries_carry_their_provenance(stack, films):
    of_films = {row["study_id"] for row in films.document["studies"] if row["state"] == "summarised"}
    current = stack.rows(
        "SELECT study_id::text, bundle, bundle_sha256, provenance FROM summaries WHERE superseded_at IS NULL"
    )
    rows = [row[1:] for row in current if row[0] in of_films]  # other tests summarise with other bundles

    assert len(rows) == len(of_films)
    assert Counter(bundle for bundle, _, _ in rows).keys() == {"demo"}
    for _, sha256, provenance in rows:
        assert len(sha256) == 64
        assert {"image_sha256", "prompt", "template", "decoding", "software"} <= provenance.keys()
