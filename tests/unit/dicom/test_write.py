"""Phantom files: readable by everybody, and marked."""

from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.write import phantom_dicom
from xraygpt_core.states import Flag

NAMES = {"view": "AP", "patient_id": "PHANTOM-7", "study_uid": "2.25.7", "sop_uid": "2.25.8", "accession": "P7"}


@pytest.fixture(scope="session")
def drawn():
    rows, columns = np.mgrid[0:256, 0:256]
    return (rows * 96 + columns * 95 + 8000 + 8000 * np.sin((rows / 70) ** 2) * np.sin((columns / 65) ** 2)).astype(
        np.uint16
    )


@pytest.mark.parametrize("modality", ["DX", "CR"])
def test_a_phantom_is_read_back_with_its_view_names_and_mark(drawn, limits, modality):
    image = normalise(phantom_dicom(drawn, modality=modality, **NAMES), limits)
    assert (image.view, image.modality, image.kind, image.flags) == ("AP", modality, "dicom", (Flag.SYNTHETIC,))
    assert (image.identifiers.patient_id, image.identifiers.study_instance_uid) == ("PHANTOM-7", "2.25.7")
    assert (image.identifiers.sop_instance_uid, image.identifiers.accession_number) == ("2.25.8", "P7")


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_grey_is_the_value_over_the_stored_range(limits, bits):
    values = np.linspace(50, 2**bits - 100, 256 * 256).reshape(256, 256).astype(np.uint16)
    image = normalise(phantom_dicom(values, bits_stored=bits, **NAMES), limits)
    seen = np.asarray(Image.open(BytesIO(image.normalised_png)))
    assert np.array_equal(seen, np.rint(values / (2**bits - 1) * 255))


@pytest.mark.parametrize(("brightest", "bits"), [(100, 8), (1000, 10), (4095, 12), (40_000, 16)])
def test_bits_stored_follow_the_brightest_value(drawn, brightest, bits):
    dataset = pydicom.dcmread(BytesIO(phantom_dicom(np.minimum(drawn, brightest), **NAMES)))
    assert (dataset.BitsStored, dataset.HighBit, dataset.WindowWidth) == (bits, bits - 1, 2**bits)


def test_the_file_is_marked_synthetic_in_its_header(drawn):
    dataset = pydicom.dcmread(BytesIO(phantom_dicom(drawn, **NAMES)))
    assert dataset.SyntheticData == "YES"
    assert dataset.SeriesDescription == "SYNTHETIC PHANTOM"
    assert dataset.ImageType[0] == "DERIVED"
    assert np.array_equal(dataset.pixel_array, drawn)


def test_further_elements_can_be_set_and_removed(drawn, limits):
    data = phantom_dicom(drawn, PatientName="CANARY^A", BodyPartExamined=None, NumberOfStudyRelatedInstances=2, **NAMES)
    image = normalise(data, limits)
    assert (image.expected_images, image.flags) == (2, (Flag.BODY_PART_UNKNOWN, Flag.SYNTHETIC))
    assert pydicom.dcmread(BytesIO(data)).PatientName == "CANARY^A"


def test_the_same_phantom_is_the_same_bytes(drawn):
    assert phantom_dicom(drawn, **NAMES) == phantom_dicom(drawn, **NAMES)
