"""DICOM files built in code, and the real ones where they are at hand."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.sandbox_tools import LIMITS
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
MakeDicom = Callable[..., bytes]


@pytest.fixture
def limits() -> Limits:
    return Limits(max_pixels=16_000_000, decode_seconds=20.0, decode_memory_bytes=2**30)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The product's own child."""
    with Sandbox(LIMITS) as started:
        yield started


@pytest.fixture(scope="session")
def film() -> np.ndarray:
    """12-bit values (256, 240) with gradients, shades as large as a lung and a little noise."""
    rows, columns = np.mgrid[0:256, 0:240]
    noise = np.random.default_rng(7).integers(0, 40, (256, 240))
    shades = 400 + 400 * np.sin((rows / 70) ** 2) * np.sin((columns / 65) ** 2)
    return (rows * 7 + columns * 5 + shades + noise).astype(np.uint16)


@pytest.fixture(scope="session")
def make_dicom(film: np.ndarray) -> MakeDicom:
    """A function that writes a CR chest film; keywords set header elements, None removes one."""

    def make(pixels: np.ndarray | None = None, *, syntax: str = ExplicitVRLittleEndian, **header: Any) -> bytes:
        return save(dataset_of(film if pixels is None else pixels, **header), syntax)

    return make


def dataset_of(pixels: np.ndarray, **header: Any) -> Dataset:
    dataset = Dataset()
    signed, allocated = pixels.dtype.kind == "i", pixels.dtype.itemsize * 8
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
        "SOPInstanceUID": "2.25.1001",
        "StudyInstanceUID": "2.25.1002",
        "SeriesInstanceUID": "2.25.1003",
        "Modality": "CR",
        "PatientID": "CANARY-PATIENT",
        "AccessionNumber": "CANARY-ACCESSION",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "SamplesPerPixel": pixels.shape[2] if pixels.ndim == 3 else 1,
        "PhotometricInterpretation": "RGB" if pixels.ndim == 3 else "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": 12 if allocated == 16 else 8,
        "HighBit": 11 if allocated == 16 else 7,
        "PixelRepresentation": int(signed),
        **({"PlanarConfiguration": 0} if pixels.ndim == 3 else {}),
        **header,
    }
    if values["HighBit"] == 11 and values["BitsStored"] != 12:
        values["HighBit"] = values["BitsStored"] - 1
    with pydicom.config.disable_value_validation():  # the field's files are not valid either
        for keyword, value in values.items():
            if value is not None:
                setattr(dataset, keyword, value)
    if "PixelData" not in header:
        dataset.add_new(0x7FE00010, "OW", pixels.tobytes())
    return dataset


def save(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.file_meta.ImplementationClassUID = "2.25.1"
    buffer = BytesIO()
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the shared films are not here ({SHARED})")
    return SHARED


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    return dataset_of


@pytest.fixture(scope="session")
def save_dataset() -> Callable[..., bytes]:
    return save


@pytest.fixture
def recode(tmp_path: Path) -> Callable[[bytes, str], bytes]:
    """A function that writes a native file in another transfer syntax, named as GDCM names it."""

    def change(data: bytes, syntax: str) -> bytes:
        source, target = tmp_path / "native.dcm", tmp_path / "recoded.dcm"
        source.write_bytes(data)
        reader, writer, change = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
        reader.SetFileName(str(source))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change(), f"GDCM cannot write {syntax}"
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return target.read_bytes()

    return change
