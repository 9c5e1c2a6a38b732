"""What the tests of the decoding process share."""

import pytest

from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected

LIMITS = Limits(max_pixels=64_000_000, decode_seconds=20.0, decode_memory_bytes=2**29)


def refused(sandbox: Sandbox, data: bytes) -> Rejected:
    """Why this is not read; fails the test if it is."""
    with pytest.raises(Rejected) as caught:
        sandbox.normalise(data)
    return caught.value
