"""What a file's header says of its film, without its pixels.

``python -m xraygpt_core.dicom.facts_child`` is a child of a sandbox. It also reads films that the current version would
reject: they were accepted once.
"""

import warnings

from xraygpt_core.dicom import decoder_child, frames, views
from xraygpt_core.dicom.facts import stated_facts
from xraygpt_core.dicom.header_budget import header_budget
from xraygpt_core.dicom.parse import is_dicom, parse
from xraygpt_core.dicom.types import NO_FACTS, Limits, StatedFacts


def facts_of_file(data: bytes, limits: Limits) -> StatedFacts:
    """The facts in a DICOM file's header; none of a bare picture.

    Raises:
        Rejected: a DICOM file whose elements cannot be read.
    """
    with warnings.catch_warnings(), header_budget():
        warnings.simplefilter("ignore")  # pydicom's warnings quote header values
        if not is_dicom(data):
            return StatedFacts(NO_FACTS, None, None, exchanged=False)
        dataset = parse(data, limits).dataset
        return stated_facts(dataset, views.view(dataset))


if __name__ == "__main__":
    decoder_child.main(lambda data, limits: frames.pack_facts(facts_of_file(data, limits)))
