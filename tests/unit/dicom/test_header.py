"""Single values and identifiers."""

import numpy as np
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from xraygpt_core.clinical_text import LONGEST, Clinical
from xraygpt_core.dicom import header
from xraygpt_core.dicom.normalise import normalise


def dataset(**values):
    made = Dataset()
    with disable_value_validation():
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def item(**values):
    return [dataset(**values)]


def test_identifiers_come_as_written_and_without_padding(make_dicom, limits):
    data = make_dicom(
        PatientID=" 12 ", IssuerOfPatientID="CLINIC", IssuerOfAccessionNumberSequence=item(LocalNamespaceEntityID="RIS")
    )
    found = normalise(data, limits).identifiers
    assert (found.patient_id, found.patient_id_issuer, found.accession_issuer) == ("12", "CLINIC", "RIS")
    assert (found.study_instance_uid, found.sop_instance_uid) == ("2.25.1002", "2.25.1001")
    assert found.accession_number == "CANARY-ACCESSION"


def test_an_issuer_is_named_by_its_universal_id_where_nothing_else_names_it() -> None:
    qualifiers = item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")
    named = dataset(PatientID="1", IssuerOfPatientIDQualifiersSequence=qualifiers)
    assert header.identifiers(named).patient_id_issuer == "1.2.3"
    named.IssuerOfPatientID = "CLINIC"
    assert header.identifiers(named).patient_id_issuer == "CLINIC"


def test_ids_that_begin_alike_before_a_backslash_are_two() -> None:
    assert header.identifiers(dataset(PatientID="X\\1")).patient_id == "X\\1"


def test_what_was_known_is_joined_from_the_elements_that_say_it(make_dicom, limits):
    said = {"ReasonForTheRequestedProcedure": "cough ", "AdditionalPatientHistory": "fever\r\nfor days"}
    found = normalise(make_dicom(**said, BodyPartExamined="CHEST", ProtocolName="Thorax pa"), limits).clinical
    assert (found.indication, found.technique) == ("cough; fever for days", "CHEST; Thorax pa")
    assert (found.comparison, found.prior_report) == (None, None)


def test_the_reason_of_the_study_counts_where_the_request_gives_none_and_nothing_is_said_twice() -> None:
    said = dataset(
        ReasonForStudy="cough", AdditionalPatientHistory="cough", ProtocolName="CHEST", BodyPartExamined="CHEST"
    )
    assert header.clinical(said) == Clinical("cough", "CHEST")


def test_a_history_without_end_is_cut() -> None:
    found = header.clinical(dataset(AdditionalPatientHistory="x" * 9000))
    assert found.indication == "x" * LONGEST


def test_what_was_known_shows_in_no_repr(make_dicom, limits):
    assert "CANARY" not in repr(normalise(make_dicom(AdditionalPatientHistory="CANARY"), limits))


def test_absent_identifiers_are_none(make_dicom, limits):
    found = normalise(make_dicom(PatientID="", AccessionNumber=None), limits).identifiers
    assert (found.patient_id, found.accession_number, found.accession_issuer) == (None, None, None)


def test_identifiers_of_another_alphabet_are_read(make_dicom, limits):
    data = make_dicom(SpecificCharacterSet="ISO_IR 100", PatientID="M\xfcller-7")
    assert normalise(data, limits).identifiers.patient_id == "M\xfcller-7"


def test_nothing_of_the_patient_shows_in_a_repr(make_dicom, limits):
    assert "CANARY" not in repr(normalise(make_dicom(), limits))


@pytest.mark.parametrize(("written", "expected"), [("2", 2), ("0", None), ("100000", None), (None, None)])
def test_the_number_of_images_to_wait_for(make_dicom, limits, written, expected):
    assert normalise(make_dicom(NumberOfStudyRelatedInstances=written), limits).expected_images == expected


def test_values_take_the_first_of_several_and_survive_nonsense():
    assert header.number(dataset(WindowCenter=[40.0, 50.0]), "WindowCenter") == 40.0
    assert header.number(dataset(), "WindowCenter") is None
    assert header.number(dataset(PatientID="abc"), "PatientID") is None
    assert header.word(dataset(PatientID=""), "PatientID") is None


def test_a_number_that_is_not_finite_is_none():
    assert header.number(dataset(SelectorFDValue=np.inf), "SelectorFDValue") is None


def test_a_doubtful_header_value_reaches_no_log(make_dicom, limits, caplog):
    data = make_dicom(BodyPartExamined="chest", PatientBirthDate="CANARY", PatientID="CANARY" * 30)
    assert normalise(data, limits).identifiers.patient_id == "CANARY" * 30
    assert "CANARY" not in caplog.text
