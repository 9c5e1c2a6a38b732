"""How the pixels of an image came about."""

import pytest

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.states import Flag, Origin

DX_RAW, SC = "1.2.840.10008.5.1.4.1.1.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
PLAIN = ["DERIVED", "PRIMARY"]


@pytest.fixture
def made(make_dicom, limits):
    """The origin and the flags of a header."""

    def of(**header):
        image = normalise(make_dicom(**header), limits)
        return image.origin, image.flags

    return of


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"ImageType": ["ORIGINAL", "PRIMARY"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "PA"], "PresentationIntentType": "FOR PRESENTATION"},
        {"ImageType": ["ORIGINAL", "PRIMARY"], "SeriesDescription": "Dual Energy Standard"},
        {"SeriesDescription": "Torax de pie", "ProtocolName": "Chest dual energy bone"},
        {"SeriesDescription": "Chest softcopy"},
        {"SeriesDescription": "R/O CAD, line placement"},
    ],
)
def test_the_detectors_own_film(made, header):
    assert made(**header) == (Origin.DETECTOR, ())


@pytest.mark.parametrize(
    "header",
    [
        {"ImageType": PLAIN, "PresentationIntentType": "FOR PRESENTATION"},
        {"ImageType": PLAIN, "AcquisitionDeviceProcessingDescription": "CHEST"},
        {"ImageType": PLAIN, "LossyImageCompression": "01"},
        {"ImageType": PLAIN, "DerivationDescription": "JPEG 2000 lossless"},
        {"ImageType": ["ORIGINAL", "SECONDARY"]},
    ],
)
def test_a_derived_film_that_says_why_is_not_doubtful_but_not_the_first(made, header):
    assert made(**header) == (Origin.PROCESSED, ())


def test_a_capture_and_a_drawing_are_derived_by_their_nature(made):
    assert made(ImageType=["DERIVED", "SECONDARY"], SOPClassUID=SC)[0] is Origin.PROCESSED
    assert made(ImageType=PLAIN, SyntheticData="YES") == (Origin.PROCESSED, (Flag.SYNTHETIC,))


@pytest.mark.parametrize("kind", [PLAIN, ["DERIVED", "SECONDARY"], ["derived", "secondary"], ["DERIVED"]])
def test_a_derived_film_that_does_not_say_why_is_flagged(made, kind):
    assert made(ImageType=kind) == (Origin.DERIVED, (Flag.DERIVED_IMAGE,))


@pytest.mark.parametrize(
    "header", [{"SOPClassUID": DX_RAW, "Modality": "DX"}, {"PresentationIntentType": "FOR PROCESSING"}]
)
def test_raw_values_are_flagged(made, header):
    assert made(ImageType=["ORIGINAL", "PRIMARY"], **header) == (Origin.FOR_PROCESSING, (Flag.FOR_PROCESSING,))


BONE = ["Chest PA Bone", "CHEST_PA_BONE", "ChestBone", "Knochenbild", "Thorax hueso"]
COMPUTED = [
    "Chest PA Soft Tissue", "SoftTissue", "Weichteilbild", "Tejidos blandos", "bone suppressed", "Rib Suppression",
    "bone-free", "Temporal subtraction", "CXR enhanced for tube/line", "Companion view",
    "CAD result", "AI overlay", "Chest INVERTED",
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "origin"), [*((one, Origin.BONE) for one in BONE), *((one, Origin.COMPUTED) for one in COMPUTED)]
)
def test_the_words_of_a_computed_image_count_even_if_it_calls_itself_original(made, words, origin):
    for header in (
        {"ImageType": ["ORIGINAL", "PRIMARY"]},
        {"ImageType": PLAIN, "PresentationIntentType": "FOR PRESENTATION"},
    ):
        assert made(SeriesDescription=words, **header) == (origin, (Flag.DERIVED_IMAGE,))
    assert made(DerivationDescription=words)[0] is origin


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("BONE", Origin.BONE),
        ("SOFT_TISSUE", Origin.COMPUTED),
        ("DES", Origin.COMPUTED),
        ("SUBTRACTION", Origin.COMPUTED),
    ],
)
def test_the_further_values_of_image_type_count(made, value, origin):
    assert made(ImageType=["DERIVED", "SECONDARY", "", value]) == (origin, (Flag.DERIVED_IMAGE,))
