"""What goes into and what comes out of reading one image."""

from dataclasses import dataclass, field

from xraygpt_core.states import Flag, Origin


@dataclass(frozen=True)
class Limits:
    """What one image may cost."""

    max_pixels: int  # rows x columns of the original
    decode_seconds: float  # wall clock, from bytes to normalised image
    decode_memory_bytes: int  # address space the decoding process may add to what it has once it is started


@dataclass(frozen=True)
class Identifiers:
    """Patient data of one file, as written there; to be pseudonymised at once and stored nowhere.

    Every field stays out of ``repr``, so that neither a log line nor a traceback can show it.
    """

    patient_id: str | None = field(default=None, repr=False)  # (0010,0020)
    patient_id_issuer: str | None = field(default=None, repr=False)  # (0010,0021)
    study_instance_uid: str | None = field(default=None, repr=False)  # (0020,000D)
    accession_number: str | None = field(default=None, repr=False)  # (0008,0050)
    accession_issuer: str | None = field(default=None, repr=False)  # (0008,0051)
    sop_instance_uid: str | None = field(default=None, repr=False)  # (0008,0018)


@dataclass(frozen=True)
class NormalisedImage:
    """One accepted image, made from pixels alone: no text chunk, no EXIF, no header value but those named here."""

    normalised_png: bytes = field(repr=False)  # 8-bit grey, bone white (MONOCHROME2), long side <= 2048
    preview_png: bytes = field(repr=False)  # 8-bit grey, long side <= 1024
    rows: int  # of the original
    columns: int  # of the original
    pixel_sha256: str  # of the decoded values and their shape, before windowing: equal pixels, equal hash
    view: str | None  # "PA", "AP", "FRONTAL", "LATERAL", "OBLIQUE"
    modality: str | None  # "CR", "DX", "SC" …
    kind: str  # "dicom" or "picture"
    expected_images: int | None  # NumberOfStudyRelatedInstances (0020,1208)
    flags: tuple[Flag, ...]
    identifiers: Identifiers
    origin: Origin = Origin.DETECTOR  # how the pixels came about
    histogram_gaps: float = 0.0  # share of the grey levels between darkest and brightest that never occur
