"""What goes into and what comes out of reading one image."""

from dataclasses import dataclass, field, replace
from datetime import date, time
from typing import Literal

from xraygpt_core.clinical_text import UNKNOWN, Clinical
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


Side = Literal["L", "R"]
Plane = Literal["patient", "detector"]
Pair = tuple[float, float]
Spacing = Pair  # millimetres between rows, between columns

_LEAST_SIDE_MM, _MOST_SIDE_MM = 10.0, 1500.0  # of a film of a chest


@dataclass(frozen=True)
class HeaderFacts:
    """What a film's header says of it; None where it says nothing, or nothing that makes sense.

    Day and time are patient data, and stay out of ``repr``.

    Attributes:
        spacing_mm: of the film as it is read, and so of its ``rows`` and ``columns``.
        spacing_at: where these millimetres are true: within the patient, or on the detector's surface.
    """

    acquired_on: date | None = field(default=None, repr=False)
    acquired_time: time | None = field(default=None, repr=False)
    laterality: Side | None = None
    spacing_mm: Spacing | None = None
    spacing_at: Plane | None = None


NO_FACTS = HeaderFacts()


@dataclass(frozen=True)
class StatedFacts:
    """The same as the header puts it: its spacing is that of the pixels as they are stored.

    Attributes:
        rows, columns: as the header states them.
        exchanged: a film is turned by a quarter to be read, so its rows become columns.
    """

    facts: HeaderFacts
    rows: int | None
    columns: int | None
    exchanged: bool

    def of(self, rows: int, columns: int) -> HeaderFacts:
        """What holds of the film as it is read, given its pixels as they are stored.

        A spacing is left out where the header speaks of other pixels, or where no film of a chest has such a size.
        """
        spacing = self.facts.spacing_mm
        if spacing is None:
            return self.facts
        sides = (rows * spacing[0], columns * spacing[1])
        if (rows, columns) != (self.rows, self.columns) or min(sides) < _LEAST_SIDE_MM or max(sides) > _MOST_SIDE_MM:
            return replace(self.facts, spacing_mm=None, spacing_at=None)
        return replace(self.facts, spacing_mm=spacing[::-1]) if self.exchanged else self.facts


@dataclass(frozen=True)
class DeepCopy:
    """The film's own values, which the 8-bit picture cannot hold: after the modality transform, before any window.

    Attributes:
        png: 16-bit grey, of the same size and position as the normalised picture; a greater code is brighter.
        scale: the film's value at code 0, and what each further code adds: below 0 where low values are bright.
        window: centre and width in the film's values, as the normalised picture has it.
    """

    png: bytes = field(repr=False)
    scale: Pair
    window: Pair


@dataclass(frozen=True)
class NormalisedImage:
    """One accepted image, made from pixels alone: no text chunk, no EXIF, no header value but those named here."""

    normalised_png: bytes = field(repr=False)  # 8-bit grey, bone white (MONOCHROME2), long side <= 2048
    preview_png: bytes = field(repr=False)  # 8-bit grey, long side <= 1024
    rows: int  # of the original, turned as it is read
    columns: int  # likewise
    pixel_sha256: str  # of the decoded values and their shape, before windowing: equal pixels, equal hash
    view: str | None  # "PA", "AP", "FRONTAL", "LATERAL", "OBLIQUE"
    modality: str | None  # "CR", "DX", "SC" …
    kind: str  # "dicom" or "picture"
    expected_images: int | None  # NumberOfStudyRelatedInstances (0020,1208)
    flags: tuple[Flag, ...]
    identifiers: Identifiers
    origin: Origin = Origin.DETECTOR  # how the pixels came about
    facts: HeaderFacts = NO_FACTS
    clinical: Clinical = UNKNOWN  # patient data; to be sealed at once, or dropped
    histogram_gaps: float = 0.0  # share of the grey levels between darkest and brightest that never occur
    deep: DeepCopy | None = None  # None where it was not asked for, or would hold no more than the 8-bit picture
