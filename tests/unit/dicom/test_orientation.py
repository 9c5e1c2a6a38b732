"""A film is turned to the position in which it is read."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.states import Flag

READ = np.arange(6, dtype=np.uint8).reshape(2, 3)  # as it is read: rows to the patient's left, columns to the feet
FRONTAL = {
    "L F": READ,
    "R F": READ[:, ::-1],
    "L H": READ[::-1],
    "R H": READ[::-1, ::-1],
    "F L": READ.T,
    "H L": READ[::-1].T,
    "F R": READ[:, ::-1].T,
    "H R": READ[::-1, ::-1].T,
    "LF FR": READ,  # a little askew: the first letter is the main direction
    "RPF FLP": READ[:, ::-1],
}
LATERAL = {
    "A F": READ,
    "P F": READ,
    "P H": READ[::-1, ::-1],  # a lateral film is turned, never mirrored
    "F A": np.rot90(READ),
    "F P": np.rot90(READ),
    "H A": np.rot90(READ, -1),
}


@pytest.fixture
def shown(make_dicom, limits):
    """What a film of these six values, each a block of pixels, becomes, and whether its position is uncertain."""

    def of(stored, orientation, **header):
        pixels = np.kron(stored, np.full((120, 120), 40, np.uint8))
        image = normalise(make_dicom(pixels, PatientOrientation=orientation, **header), limits)
        assert (image.columns, image.rows) == Image.open(BytesIO(image.normalised_png)).size  # as it is read
        assert Image.open(BytesIO(image.preview_png)).size == Image.open(BytesIO(image.normalised_png)).size
        seen = np.asarray(Image.open(BytesIO(image.normalised_png)))[60::120, 60::120] // 40
        return seen.tolist(), Flag.ORIENTATION_UNCERTAIN in image.flags

    return of


@pytest.mark.parametrize("view", ["PA", "AP", "LLD", None])
def test_a_frontal_film_is_read_with_the_patients_left_at_the_right(shown, view):
    for orientation, stored in FRONTAL.items():
        assert (orientation, *shown(stored, orientation.split(), ViewPosition=view)) == (
            orientation,
            READ.tolist(),
            False,
        )


def test_a_lateral_film_stands_upright_and_is_never_mirrored(shown):
    for orientation, stored in LATERAL.items():
        assert (orientation, *shown(stored, orientation.split(), ViewPosition="LL")) == (
            orientation,
            READ.tolist(),
            False,
        )


@pytest.mark.parametrize("orientation", [None, "", ["L", "F"], "L"])
def test_a_film_that_names_no_other_position_stays(shown, orientation):
    assert shown(READ, orientation) == (READ.tolist(), False)


@pytest.mark.parametrize(
    ("orientation", "view"),
    [
        (["A", "F"], "PA"),  # one of the two is wrong
        (["L", "A"], "PA"),  # from above
        (["L", "R"], "PA"),
        (["LR", "F"], None),
        (["LEFT", "FOOT"], "AP"),
        (["R"], "PA"),
        (["R", ""], "PA"),
        (["X", "Y"], None),
    ],
)
def test_a_position_that_makes_no_sense_is_flagged_and_the_film_left_alone(shown, orientation, view):
    assert shown(READ, orientation, ViewPosition=view) == (READ.tolist(), True)


def test_a_lateral_film_with_the_consoles_default_is_left_alone(shown):
    assert shown(READ, ["R", "F"], ViewPosition="LL") == (READ.tolist(), False)


def test_what_the_detector_did_before_it_wrote_is_not_done_again(shown):
    header = {"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": 90}
    assert shown(READ[:, ::-1], ["R", "F"], **header) == (READ.tolist(), False)


def test_a_turned_film_keeps_the_hash_of_its_stored_values(make_dicom, limits):
    hashes = {normalise(make_dicom(PatientOrientation=way), limits).pixel_sha256 for way in (["L", "F"], ["R", "H"])}
    assert len(hashes) == 1
