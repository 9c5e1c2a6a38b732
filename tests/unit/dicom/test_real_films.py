"""Every real DICOM file at hand and 200 real pictures become what they became before, byte for byte.

`real_films.json` has the sha256 of the normalised PNG, or the reason, as recorded on 2026-11-28, before the rules of
decoding, of look-up tables and of contradicting labels were changed. Whoever changes an entry says here by which rule.
"""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag

LIMITS = Limits(max_pixels=64_000_000, decode_seconds=30, decode_memory_bytes=2**31)
RECORDED = json.loads(Path(__file__).with_name("real_films.json").read_text())


@pytest.fixture(scope="module")
def outcomes(shared_data):
    """Of each recorded file: the normalised image's sha256 or the reason, and its flags."""
    found = {}
    for name in RECORDED:
        try:
            image = normalise((shared_data / name).read_bytes(), LIMITS)
        except Rejected as rejection:
            found[name] = rejection.reason.value, ()
        else:
            found[name] = hashlib.sha256(image.normalised_png).hexdigest(), image.flags
    return found


def test_the_recorded_files_are_all_dicom_files_and_200_pictures_of_every_folder(shared_data):
    assert sum(name.startswith("images/") for name in RECORDED) == 200
    for folder in ("dicom", *(f"images/{each.name}" for each in (shared_data / "images").iterdir())):
        assert any(name.startswith(f"{folder}/") for name in RECORDED)
    assert {f"dicom/{path.name}" for path in (shared_data / "dicom").glob("*.dcm")} <= set(RECORDED)


def test_real_films_come_out_as_before(outcomes):
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == RECORDED


def test_hardly_a_real_film_is_doubted(outcomes, capsys):
    """At most one in a hundred, in either half (by the name's hash); the limits were set on half 0."""
    halves = [], []
    for name, (outcome, flags) in outcomes.items():
        if len(outcome) == 64:
            halves[hashlib.sha256(name.encode()).digest()[0] % 2].append(Flag.IMPLAUSIBLE_PIXELS in flags)
    for number, half in enumerate(halves):
        with capsys.disabled():
            sys.stdout.write(f"\nreal films, half {number}: {sum(half)} of {len(half)} flagged implausible_pixels\n")
        assert sum(half) <= 0.01 * len(half)
