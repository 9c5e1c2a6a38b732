"""The patient, study and instance that a file names, without its pixels.

``python -m xraygpt_core.dicom.identify`` is a child of a sandbox. It also reads images that the current version would
reject: they belong to a patient, too.
"""

import warnings

from xraygpt_core.dicom import decoder_child, frames, header
from xraygpt_core.dicom.header_budget import header_budget
from xraygpt_core.dicom.parse import is_dicom, parse
from xraygpt_core.dicom.types import Identifiers, Limits


def identify(data: bytes, limits: Limits) -> Identifiers:
    """Patient, study, accession number and instance, as the header says; nothing of a bare picture.

    Raises:
        Rejected: a DICOM file whose elements cannot be read.
    """
    with warnings.catch_warnings(), header_budget():
        warnings.simplefilter("ignore")  # pydicom's warnings quote header values
        if not is_dicom(data):
            return Identifiers()
        return header.identifiers(parse(data, limits).dataset)


if __name__ == "__main__":
    decoder_child.main(lambda data, limits: frames.pack_identifiers(identify(data, limits)))
