"""What the header alone decides."""

import numpy as np
import pytest

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

SC = "1.2.840.10008.5.1.4.1.1.7"
DX, DX_RAW = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"
CT, MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture
def outcome(make_dicom, limits):
    """The reason code of a header, or the flags of what is accepted."""

    def of(**header):
        try:
            return normalise(make_dicom(**header), limits).flags
        except Rejected as rejection:
            return rejection.reason

    return of


@pytest.mark.parametrize(
    ("sop_class", "modality", "flags"),
    [("1.2.840.10008.5.1.4.1.1.1", "CR", ()), (DX, "DX", ()), (DX_RAW, "DX", (Flag.FOR_PROCESSING,))],
)
def test_the_three_radiograph_classes_are_accepted(outcome, sop_class, modality, flags):
    assert outcome(SOPClassUID=sop_class, Modality=modality) == flags


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [
        (CT, "CT"),
        (MAMMOGRAPHY, "MG"),
        (CT, "CR"),
        (DX, "CT"),
        (CT, None),
        (SC, "US"),
        (SC, "CT"),
        (None, "MR"),
        (None, None),
    ],
)
def test_what_is_no_radiograph_is_the_wrong_modality(outcome, sop_class, modality):
    if sop_class is None:
        assert outcome(SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality=modality) is ReasonCode.WRONG_MODALITY
    assert outcome(SOPClassUID=sop_class or CT, Modality=modality) is ReasonCode.WRONG_MODALITY


@pytest.mark.parametrize(("sop_class", "implied"), [(DX, "DX"), ("1.2.840.10008.5.1.4.1.1.1", "CR")])
def test_without_modality_the_sop_class_decides(make_dicom, limits, sop_class, implied):
    assert normalise(make_dicom(SOPClassUID=sop_class, Modality=None), limits).modality == implied


def test_a_radiograph_without_body_part_is_accepted_and_flagged(outcome):
    assert outcome(BodyPartExamined=None) == (Flag.BODY_PART_UNKNOWN,)
    assert outcome(BodyPartExamined="") == (Flag.BODY_PART_UNKNOWN,)
    assert outcome(BodyPartExamined="UNKNOWN") == (Flag.BODY_PART_UNKNOWN,)


@pytest.mark.parametrize("keyword", ["StudyDescription", "SeriesDescription", "ProtocolName"])
@pytest.mark.parametrize(
    "described",
    ["Knee AP", "Handgelenk rechts", "ABDOMEN LIEGEND", "Genou face", "Rodilla", "Bassin", "腰椎正側位", "Колено"],
)
def test_without_body_part_a_description_of_another_part_rejects(outcome, keyword, described):
    header = {keyword: described, "SpecificCharacterSet": "ISO_IR 192"}
    assert outcome(BodyPartExamined=None, **header) is ReasonCode.WRONG_BODY_PART


@pytest.mark.parametrize(
    "described",
    [
        "Chest PA",
        "Thorax a.p. liegend",
        "Torax de pie",
        "Thorax face",
        "R/O PE",
        "Portable",
        "C-arm",
    ],
)
def test_without_body_part_a_description_of_nothing_else_is_accepted(outcome, described):
    assert outcome(BodyPartExamined=None, SeriesDescription=described) == (Flag.BODY_PART_UNKNOWN,)


def test_the_series_outweighs_the_study(outcome):
    names = {"StudyDescription": "CHEST AND KNEE", "SeriesDescription": "KNEE LAT"}
    assert outcome(BodyPartExamined=None, **names) is ReasonCode.WRONG_BODY_PART
    names = {"StudyDescription": "KNEE", "SeriesDescription": "CHEST"}
    assert outcome(BodyPartExamined=None, **names) == (Flag.BODY_PART_UNKNOWN,)


@pytest.mark.parametrize("part", ["CHEST", "THORAX", "Thorax ", "LUNG", "CHESTABDOMEN", "CHEST PA"])
def test_every_way_to_write_chest_is_a_chest(outcome, part):
    assert outcome(BodyPartExamined=part) == ()


@pytest.mark.parametrize("part", ["HIP", "EXTREMITY", "TSPINE", "THORACIC SPINE", "SHOULDER"])
def test_another_stated_part_is_rejected_whatever_the_description_says(outcome, part):
    assert outcome(BodyPartExamined=part, StudyDescription="CHEST") is ReasonCode.WRONG_BODY_PART


def test_a_part_that_nobody_knows_leaves_the_word_to_the_descriptions(outcome):
    assert outcome(BodyPartExamined="WALLSTAND") == (Flag.BODY_PART_UNKNOWN,)
    assert outcome(BodyPartExamined="WALLSTAND", SeriesDescription="Knee AP") is ReasonCode.WRONG_BODY_PART


def test_a_coded_region_counts_as_a_stated_part(outcome):
    from pydicom.dataset import Dataset

    chest, knee = Dataset(), Dataset()
    chest.CodeMeaning, knee.CodeMeaning = "Chest", "Knee"
    assert outcome(BodyPartExamined=None, AnatomicRegionSequence=[chest]) == ()
    assert outcome(BodyPartExamined=None, AnatomicRegionSequence=[knee]) is ReasonCode.WRONG_BODY_PART


class TestSecondaryCapture:
    flags = (Flag.SECONDARY_CAPTURE, Flag.BURNED_IN_UNCHECKED)

    def test_a_captured_chest_film_is_accepted_and_flagged(self, outcome):
        assert outcome(SOPClassUID=SC, Modality="CR") == self.flags
        assert outcome(SOPClassUID=f"{SC}.2", Modality="DX") == self.flags

    def test_a_capture_of_no_modality_must_call_itself_a_radiograph(self, outcome):
        assert outcome(SOPClassUID=SC, Modality="OT") == self.flags  # its view says so
        assert outcome(SOPClassUID=SC, Modality="OT", ViewPosition=None) is ReasonCode.WRONG_MODALITY
        said = outcome(SOPClassUID=SC, Modality="OT", ViewPosition=None, StudyDescription="Chest X-ray")
        assert said == (*self.flags, Flag.VIEW_UNKNOWN)

    def test_a_capture_must_say_that_it_shows_a_chest(self, outcome):
        assert outcome(SOPClassUID=SC, BodyPartExamined=None) is ReasonCode.WRONG_BODY_PART
        assert outcome(SOPClassUID=SC, BodyPartExamined=None, StudyDescription="CXR") == self.flags

    def test_a_colour_capture_is_read_as_grey(self, make_dicom, limits, film):
        grey = (film[:230] >> 4).astype(np.uint8)
        colours = np.dstack([grey, grey // 2, 255 - grey])
        image = normalise(make_dicom(colours, SOPClassUID=SC), limits)
        assert (image.rows, image.columns) == (230, 240)


def test_burned_in_patient_data_is_rejected(outcome):
    assert outcome(BurnedInAnnotation="YES") is ReasonCode.BURNED_IN_TEXT
    assert outcome(BurnedInAnnotation="NO") == ()


def test_more_than_one_frame_is_rejected(outcome, film):
    assert outcome(NumberOfFrames=2, pixels=np.vstack([film, film]), Rows=256) is ReasonCode.MULTI_FRAME
    assert outcome(NumberOfFrames=1) == ()


def test_a_shorter_side_below_224_is_too_small(outcome, film):
    assert outcome(pixels=film[:223]) is ReasonCode.TOO_SMALL
    assert outcome(pixels=film[:224, :224].copy()) == ()


def test_more_pixels_than_the_limit_are_too_large_before_they_are_decoded(make_dicom, film):
    with pytest.raises(Rejected) as caught:
        normalise(make_dicom(), Limits(max_pixels=film.size - 1, decode_seconds=1, decode_memory_bytes=1))
    assert caught.value.reason is ReasonCode.TOO_LARGE


def test_modality_is_named_before_body_part_and_body_part_before_size(outcome, film):
    small = film[:50]
    assert outcome(pixels=small, SOPClassUID=CT, Modality="CT", BodyPartExamined="HIP") is ReasonCode.WRONG_MODALITY
    assert outcome(pixels=small, BodyPartExamined="HIP") is ReasonCode.WRONG_BODY_PART


def test_an_animal_is_rejected(outcome):
    assert outcome(PatientSpeciesDescription="Canis lupus familiaris") is ReasonCode.WRONG_BODY_PART
    assert outcome(PatientSpeciesDescription="Homo sapiens") == ()


def test_a_missing_size_is_undecodable(outcome):
    assert outcome(Rows=None) is ReasonCode.UNDECODABLE
    assert outcome(Columns=0) is ReasonCode.UNDECODABLE


def test_no_rejection_quotes_the_header(make_dicom, limits):
    with pytest.raises(Rejected) as caught:
        normalise(make_dicom(BodyPartExamined="CANARY KNEE", StudyDescription="CANARY"), limits)
    assert "CANARY" not in caught.value.detail
