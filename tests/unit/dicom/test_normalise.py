"""The whole path, on built files and on real films."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

LIMITS = Limits(max_pixels=64_000_000, decode_seconds=30, decode_memory_bytes=2**31)
REJECTED = {
    "cr_hip_rle_mono2.dcm": ReasonCode.WRONG_BODY_PART,
    "cr_extremity_jpegll_mono1.dcm": ReasonCode.WRONG_BODY_PART,
    "sc_modality_lut_sequence.dcm": ReasonCode.WRONG_MODALITY,
    "sc_voi_lut_sequence.dcm": ReasonCode.WRONG_MODALITY,
    "dx_thorax_DOG_explicit_mono1_8bit_small.dcm": ReasonCode.TOO_SMALL,
}
ACCEPTED = {
    "cr_chest_pa_explicit_mono1_10bit.dcm": (440, 440),
    "cr_chest_pa_j2k_mono1_15bit.dcm": (1955, 1841),
    "cr_chest_pa_jpegbaseline_mono2_8bit.dcm": (1024, 1024),
}


def picture(png):
    return np.asarray(Image.open(BytesIO(png)))


@pytest.mark.parametrize("name", REJECTED)
def test_a_real_file_that_is_no_human_chest_is_rejected(shared_data, name):
    with pytest.raises(Rejected) as caught:
        normalise((shared_data / "dicom" / name).read_bytes(), LIMITS)
    assert caught.value.reason is REJECTED[name]


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_real_chest_film_shows_bright_bone_and_dark_lungs(shared_data, name):
    image = normalise((shared_data / "dicom" / name).read_bytes(), LIMITS)
    assert ((image.rows, image.columns), image.view, image.modality) == (ACCEPTED[name], "PA", "CR")
    film = picture(image.preview_png).astype(float)
    height, width = film.shape
    spine = film[height // 2 : 3 * height // 4, int(0.45 * width) : int(0.52 * width)].mean()
    lungs = [film[height // 3 : height // 2, int(at * width) : int((at + 0.1) * width)].mean() for at in (0.22, 0.68)]
    assert spine > max(lungs) + 20


def test_a_film_of_a_public_challenge_is_flagged_as_a_capture(shared_data):
    image = normalise((shared_data / "dicom" / "cr_chest_pa_jpegbaseline_mono2_8bit.dcm").read_bytes(), LIMITS)
    assert image.flags == (Flag.SECONDARY_CAPTURE, Flag.BURNED_IN_UNCHECKED)


@pytest.mark.parametrize("shape", [(3000, 2400), (2400, 3000), (300, 4000)])
def test_long_sides_are_bounded_and_proportions_kept(make_dicom, shape):
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    image = normalise(make_dicom(((rows + columns) % 4096).astype(np.uint16)), LIMITS)
    assert (image.rows, image.columns) == shape
    for png, side in ((image.normalised_png, 2048), (image.preview_png, 1024)):
        height, width = picture(png).shape
        assert max(height, width) == side
        assert abs(height / width - shape[0] / shape[1]) < 0.01


def test_a_small_film_is_never_enlarged(make_dicom, film):
    image = normalise(make_dicom(), LIMITS)
    assert picture(image.normalised_png).shape == picture(image.preview_png).shape == film.shape


def test_the_same_file_gives_the_same_bytes(make_dicom):
    data = make_dicom()
    assert normalise(data, LIMITS) == normalise(data, LIMITS)


def test_nothing_of_the_header_is_in_the_pictures(make_dicom):
    data = make_dicom(PatientName="CANARY^NAME", InstitutionName="CANARY CLINIC")
    image = normalise(data, LIMITS)
    assert b"CANARY" in data
    assert b"CANARY" not in image.normalised_png + image.preview_png
    assert Image.open(BytesIO(image.normalised_png)).info == {}


def test_running_out_of_memory_is_undecodable(monkeypatch, make_dicom):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr("xraygpt_core.dicom.normalise.decode", no_memory)
    with pytest.raises(Rejected) as caught:
        normalise(make_dicom(), LIMITS)
    assert caught.value.reason is ReasonCode.UNDECODABLE
