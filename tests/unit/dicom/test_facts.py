"""What a header says of its film: the day, the side, and how large a pixel is."""

import math
from datetime import date, time
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from xraygpt_core.dicom.facts import stated_facts
from xraygpt_core.dicom.facts_child import facts_of_file
from xraygpt_core.dicom.header_budget import header_budget
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.sandbox import facts_sandbox
from xraygpt_core.dicom.types import NO_FACTS, HeaderFacts, Limits

LIMITS = Limits(16_000_000, 20.0, 2**30)
DAY, HOUR = date(2021, 3, 4), time(5, 6, 7, 500_000)


@pytest.fixture
def facts(make_dicom):
    """What a film of 256 x 240 pixels with these elements is known for."""

    def of(**header):
        return facts_of_file(make_dicom(**header), LIMITS).of(256, 240)

    return of


def test_the_day_is_that_of_the_exposure_before_all_others(facts):
    stated = {
        "AcquisitionDate": "20210304", "AcquisitionTime": "050607.5",
        "ContentDate": "20210305", "ContentTime": "010203",
        "SeriesDate": "20210306", "SeriesTime": "020304",
        "StudyDate": "20210307", "StudyTime": "030405",
    }  # fmt: skip
    order = [(DAY, HOUR), (date(2021, 3, 5), time(1, 2, 3)), (date(2021, 3, 6), time(2, 3, 4))]
    order.append((date(2021, 3, 7), time(3, 4, 5)))
    for expected, gone in zip(order, ("Acquisition", "Content", "Series", "Study"), strict=True):
        found = facts(**stated)
        assert (found.acquired_on, found.acquired_time) == expected
        stated[f"{gone}Date"] = None
    assert facts(**stated) == NO_FACTS


def test_a_day_and_a_time_in_one_element_are_read_as_two(facts):
    found = facts(AcquisitionDateTime="20210304050607.500000+0100")

    assert (found.acquired_on, found.acquired_time) == (DAY, HOUR)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("20210304", DAY),
        ("2021.03.04", DAY),
        ("2021-03-04", DAY),
        (" 20210304 ", DAY),
        ("20200229", date(2020, 2, 29)),
        ("20210229", None),
        ("20211301", None),
        ("2021034", None),
        ("202103041", None),
        ("2021.0304", None),
        ("00010101", None),
        ("19000101", None),
        ("yesterday", None),
        ("20210304-20210305", None),
    ],
)
def test_a_day_that_is_none_is_none(facts, written, read):
    assert facts(AcquisitionDate=written).acquired_on == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("05", time(5)),
        ("0506", time(5, 6)),
        ("05:06:07", time(5, 6, 7)),
        ("050607.123456", time(5, 6, 7, 123456)),
        ("235959", time(23, 59, 59)),
        ("240000", None),
        ("1", None),
        ("noon", None),
        (None, None),
    ],
)
def test_a_time_that_is_none_leaves_the_day(facts, written, read):
    found = facts(AcquisitionDate="20210304", AcquisitionTime=written, StudyDate="20210304", StudyTime="010203")

    assert (found.acquired_on, found.acquired_time) == (DAY, read)


@pytest.mark.parametrize(
    ("header", "side"),
    [
        ({"ImageLaterality": "L"}, "L"),
        ({"Laterality": "R"}, "R"),
        ({"ImageLaterality": "U", "Laterality": "R"}, None),
        ({"ImageLaterality": "B"}, None),
        ({"ImageLaterality": "left"}, None),
        ({}, None),
    ],
)
def test_a_side_is_left_or_right_or_not_known(facts, header, side):
    assert facts(**header).laterality == side


@pytest.mark.parametrize(
    ("header", "spacing", "plane"),
    [
        ({"PixelSpacing": [0.5, 0.25]}, (0.5, 0.25), "patient"),
        ({"ImagerPixelSpacing": [0.5, 0.25]}, (0.5, 0.25), "detector"),
        ({"PixelSpacing": [0.4, 0.4], "ImagerPixelSpacing": [0.5, 0.5]}, (0.4, 0.4), "patient"),
        ({"PixelSpacing": [0.5, 0.5], "ImagerPixelSpacing": [0.5, 0.5]}, (0.5, 0.5), "detector"),
        (
            {"PixelSpacing": [0.5, 0.5], "ImagerPixelSpacing": [0.5, 0.5], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.5, 0.5),
            "patient",
        ),
        ({"ImagerPixelSpacing": [0.5, 0.5], "EstimatedRadiographicMagnificationFactor": 1.25}, (0.4, 0.4), "patient"),
        ({"ImagerPixelSpacing": [0.5, 0.5], "EstimatedRadiographicMagnificationFactor": 0}, (0.5, 0.5), "detector"),
        ({"ImagerPixelSpacing": [0.5, 0.5], "EstimatedRadiographicMagnificationFactor": 90}, (0.5, 0.5), "detector"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.5, 0.5]}, (0.5, 0.5), "detector"),
        ({"PixelSpacing": [0.5]}, None, None),
        ({"PixelSpacing": [0.5, 0.5, 0.5]}, None, None),
        ({"PixelSpacing": [-0.5, 0.5]}, None, None),
        ({"PixelSpacing": [8.0, 8.0]}, None, None),  # a film of two metres
        ({}, None, None),
    ],
)
def test_a_spacing_is_that_within_the_patient_or_on_the_detector(facts, header, spacing, plane):
    found = facts(**header)

    assert (found.spacing_mm, found.spacing_at) == (spacing and pytest.approx(spacing), plane)


def test_a_film_that_is_turned_by_a_quarter_has_its_spacing_turned_too(make_dicom):
    tall = np.kron(np.arange(12, dtype=np.uint8).reshape(4, 3), np.full((80, 80), 16, np.uint8))  # 320 x 240
    turned = normalise(make_dicom(tall, PixelSpacing=[0.5, 0.25], PatientOrientation=["F", "L"]), LIMITS)
    mirrored = normalise(make_dicom(tall, PixelSpacing=[0.5, 0.25], PatientOrientation=["R", "F"]), LIMITS)

    assert ((turned.rows, turned.columns), turned.facts.spacing_mm) == ((240, 320), (0.25, 0.5))
    assert ((mirrored.rows, mirrored.columns), mirrored.facts.spacing_mm) == ((320, 240), (0.5, 0.25))


def test_a_spacing_of_other_pixels_than_there_are_is_none(make_dicom, film):
    data = make_dicom(PixelSpacing=[0.5, 0.5], AcquisitionDate="20210304")
    wrong = data.replace(b"US\x02\x00\x00\x01", b"US\x02\x00\x80\x00")  # Rows: half as many as there are
    stated = facts_of_file(wrong, LIMITS)

    assert stated.rows == 128
    assert stated.of(*film.shape) == HeaderFacts(acquired_on=DAY)


def test_the_child_reads_the_same_facts_without_the_pixels(make_dicom, film):
    data = make_dicom(
        PixelSpacing=[0.5, 0.25], AcquisitionDate="20210304", AcquisitionTime="050607.5", ImageLaterality="R"
    )
    with facts_sandbox(LIMITS) as sandbox:
        stated = sandbox.facts(data)
        assert sandbox.facts(b"\x89PNG\r\n\x1a\n").facts == NO_FACTS

    assert (
        stated.of(*film.shape) == normalise(data, LIMITS).facts == HeaderFacts(DAY, HOUR, "R", (0.5, 0.25), "patient")
    )


def test_the_day_stands_in_no_repr():
    assert "2021" not in repr(HeaderFacts(DAY, HOUR))


WORDS = [
    "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "StudyDate", "PixelSpacing", "ImagerPixelSpacing",
    "ImageLaterality", "PixelSpacingCalibrationType", "EstimatedRadiographicMagnificationFactor", "PatientOrientation",
    "Rows", "Columns",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(WORDS), st.binary(max_size=40)))
def test_no_bytes_of_a_header_are_an_error(written):
    dataset = pydicom.Dataset()
    for keyword, value in written.items():
        tag = Tag(keyword)
        raw = RawDataElement(tag, pydicom.datadict.dictionary_VR(tag), len(value), value, 0, False, True)
        dataset._dict[tag] = raw
    with header_budget():
        stated = stated_facts(dataset, "PA")

    spacing = stated.of(2000, 2000).spacing_mm
    assert spacing is None or all(math.isfinite(one) and 0 < one * 2000 <= 1500 for one in spacing)
    assert stated.facts.acquired_on is None or stated.facts.acquired_on.year > 1900


@given(st.dates(min_value=date(1901, 1, 1)), st.times())
def test_every_day_and_time_that_a_writer_writes_is_read(day, hour):
    dataset = SimpleNamespace(
        get=lambda keyword: {"StudyDate": f"{day:%Y%m%d}".zfill(8), "StudyTime": f"{hour:%H%M%S.%f}"}.get(keyword),
        get_item=lambda _: None,
    )
    with header_budget():
        found = stated_facts(dataset, None).facts

    assert (found.acquired_on, found.acquired_time) == (day, hour)
