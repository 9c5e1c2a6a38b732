"""Write a drawn radiograph as a DICOM file that says it is drawn."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from xraygpt_core.dicom.admission import CR_STORAGE, DX_FOR_PRESENTATION
from xraygpt_core.dicom.elements import PIXEL_DATA
from xraygpt_core.dicom.parse import EXPLICIT_LITTLE

_IMPLEMENTATION_UID = "2.25.302040169172834761018573915072946630721"  # PS3.5 annex B.2: a UID made from a UUID


def phantom_dicom(
    pixels: npt.NDArray[np.uint16],
    *,
    view: str,
    patient_id: str,
    study_uid: str,
    sop_uid: str,
    accession: str,
    bits_stored: int | None = None,
    modality: str = "DX",
    **header: Any,
) -> bytes:
    """A DX or CR file of one phantom, marked synthetic in its header.

    Args:
        pixels: (rows, columns), below ``2 ** bits_stored``, bright where the body absorbs (MONOCHROME2).
        view: ViewPosition, "PA" or "AP".
        bits_stored: 8 to 16; default: as many as the brightest value needs. The window covers this whole range, so
            that the grey seen is value / (2 ** bits_stored - 1).
        modality: "DX" or "CR"; decides the SOP class.
        header: further elements by DICOM keyword, such as ``PatientName``; None removes one.

    Returns:
        A DICOM file (PS3.10), explicit VR little endian.
    """
    bits = bits_stored or max(8, int(pixels.max()).bit_length())
    values = {
        "SOPClassUID": UID({"DX": DX_FOR_PRESENTATION, "CR": CR_STORAGE}[modality]),
        **_identity(view, patient_id, study_uid, sop_uid, accession, modality),
        **_image(pixels.shape[0], pixels.shape[1], bits),
        **header,
    }
    dataset = Dataset()
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.add_new(PIXEL_DATA, "OW", np.ascontiguousarray(pixels, dtype="<u2").tobytes())
    return _file(dataset)


def _file(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE)
    dataset.file_meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _identity(view: str, patient: str, study: str, sop: str, accession: str, modality: str) -> dict[str, Any]:
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["DERIVED", "PRIMARY"],
        "SyntheticData": "YES",
        "SOPInstanceUID": UID(sop),
        "StudyInstanceUID": UID(study),
        "SeriesInstanceUID": UID(f"{study}.1"),
        "StudyDate": "",
        "StudyTime": "",
        "AccessionNumber": accession,
        "Modality": modality,
        "Manufacturer": "XrayGPT",
        "StudyDescription": "CHEST",
        "SeriesDescription": "SYNTHETIC PHANTOM",
        "PatientName": "PHANTOM",
        "PatientID": patient,
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyID": "",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "BodyPartExamined": "CHEST",
        "ViewPosition": view,
        "PatientOrientation": ["L", "F"],
        "BurnedInAnnotation": "NO",
    }


def _image(rows: int, columns: int, bits: int) -> dict[str, Any]:
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "WindowCenter": 2 ** (bits - 1),
        "WindowWidth": 2**bits,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "PresentationLUTShape": "IDENTITY",
    }
