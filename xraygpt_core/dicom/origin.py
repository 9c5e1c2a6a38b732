"""How an image came about: by the detector, for a reader, or computed from another image.

Image Type (0008,0008), value 1, says ORIGINAL or DERIVED, and value 2 PRIMARY or SECONDARY (PS3.3 C.7.6.1.1.2);
Presentation Intent Type (0008,0068) and the SOP class say whether a DX image is for processing or for presentation
(C.8.11.1). Most processed films of the field are DERIVED and PRIMARY, so DERIVED alone makes no image a doubtful one
where the header says why it is: made for presentation, processed by the device, compressed. An ORIGINAL still comes
first.
"""

import re
from collections.abc import Iterator
from typing import Any

from xraygpt_core.dicom.header import first_item, text, values, word
from xraygpt_core.dicom.words import apart, plain, plain_words
from xraygpt_core.states import Flag, Origin

DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"  # PS3.4 annex B.5

# "de" and "des" are everyday words of the languages in which the others stand, and "cad" is a disease too: these count
# in Image Type only, whose values from the third on are free.
_IN_IMAGE_TYPE = frozenset({"de", "des", "desa", "soft", "tissue", "cad"})


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b")


_SUPPRESSED = _any_of(
    r"suppress\w*|supr[ei]\w*|supprim\w*|sopp?res\w*|unterdruck\w*|subtra\w*|substra\w*|sustra\w*|soustra\w*|sottra\w*",
    r"boneless|(?:bones?|ribs?|knochen|rippen) ?(?:free|less|remov\w*|elimin\w*|frei)",
)
_BONE = _any_of(r"bones?|knochen\w*|hueso\w*|osso\w*|ossa|osse\w*|oseo?a?|kosci\w*|кост\w*")
_COMPUTED = _any_of(
    r"soft(?! copy)|softtissues?|weichteil\w*|tejidos? blandos?|partes (?:moles|blandas)|tissus? mous?",
    r"tessut\w* moll\w*|weke delen|mjukdel\w*|tkan\w* miekk\w*|мягк\w* ткан\w*",
    r"enhanced|enhancement|companion|inverted|magnified|zoom\w*|cropped|tomo|tomosynth\w*",
    r"(?:tubes?|lines?|catheters?|pneumothorax|ptx) (?:view|visuali\w*|enh\w*)",
    r"computer aided|heat ?maps?|saliency|overlays?|annotated|segmentation|probability map",
    r"(?:cad|ai) (?:marks?|results?|outputs?|images?)",
)
_DUAL_ENERGY = _any_of(r"(?:dual|double|doble|dupla|doppia|zwei|doppel|deux) ?energ\w*")
_COMPRESSED = re.compile(r"compress|kompress|jpeg|lossy|lossless|\brle\b|identif")
# Not the protocol's and the study's words: they are the same for the film and for what was computed from it.
_DESCRIPTIONS = ("SeriesDescription", "DerivationDescription")


def origin(dataset: Any, *, captured: bool, synthetic: bool) -> Origin:
    """How the pixels were made, by the header's words before its codes: a dual-energy set may call all three ORIGINAL.

    Args:
        captured: it is a Secondary Capture, and so DERIVED by its class.
        synthetic: a drawn film is computed as a whole, and says so.
    """
    kind = [(text(value) or "").upper() for value in values(dataset, "ImageType")] + ["", ""]
    computed = _named(dataset, kind)
    if computed is not None:
        return computed
    if is_for_processing(dataset):
        return Origin.FOR_PROCESSING
    if kind[0] != "DERIVED":
        return Origin.DETECTOR if kind[1] != "SECONDARY" else Origin.PROCESSED
    return Origin.PROCESSED if captured or synthetic or _explained(dataset, kind[1]) else Origin.DERIVED


def flags_of(made: Origin) -> Iterator[Flag]:
    """The flag that a reader sees if such an image is the one that is summarised."""
    if made is Origin.FOR_PROCESSING:
        yield Flag.FOR_PROCESSING
    elif made >= Origin.DERIVED:
        yield Flag.DERIVED_IMAGE


def is_for_processing(dataset: Any) -> bool:
    """Raw values: by the SOP class, or by Presentation Intent Type."""
    intent = (word(dataset, "PresentationIntentType") or "").upper()
    return word(dataset, "SOPClassUID") == DX_FOR_PROCESSING or intent == "FOR PROCESSING"


def _named(dataset: Any, kind: list[str]) -> Origin | None:
    """Bone, or something else that was computed, in Image Type from its third value on or in the image's own words."""
    derivation = first_item(dataset, "DerivationCodeSequence")
    texts = [*kind[2:], *(word(dataset, keyword) or "" for keyword in _DESCRIPTIONS)]
    texts.append(word(derivation, "CodeMeaning") or "" if derivation is not None else "")
    described = [" ".join(plain_words(apart(one))) for one in texts]
    if any(_SUPPRESSED.search(one) for one in described):
        return Origin.COMPUTED
    if any(_BONE.search(one) for one in described):
        return Origin.BONE
    image_type = {*" ".join(described[: len(kind) - 2]).split()}
    if any(_COMPUTED.search(one) for one in described) or image_type & _IN_IMAGE_TYPE:
        return Origin.COMPUTED
    # The standard film of such a set names it, too.
    dual = kind[0] == "DERIVED" and any(_DUAL_ENERGY.search(one) for one in described)
    return Origin.COMPUTED if dual else None


def _explained(dataset: Any, second: str) -> bool:
    """Is it known why a DERIVED image is one, and no reason to trust it less than another film?"""
    if second == "SECONDARY":
        return False
    intent = (word(dataset, "PresentationIntentType") or "").upper()
    derivation = plain(word(dataset, "DerivationDescription") or "")
    return (
        intent == "FOR PRESENTATION"
        or word(dataset, "AcquisitionDeviceProcessingDescription") is not None
        or word(dataset, "LossyImageCompression") == "01"
        or _COMPRESSED.search(derivation) is not None
    )
