"""The key of the clinical text that the tests use: what opens, and the half that seals."""

import hashlib

from xraygpt_core.clinical_sealing import ClinicalOpener, ClinicalSealer

KEY = hashlib.sha256(b"the clinical text of the tests").hexdigest()
OPENER = ClinicalOpener(bytes.fromhex(KEY))
SEALER = ClinicalSealer(OPENER.sealing_half)
ANOTHER_KEY = hashlib.sha256(b"another").hexdigest()
ANOTHER_OPENER = ClinicalOpener(bytes.fromhex(ANOTHER_KEY))

OPENS = {"XRAYGPT_CLINICAL_TEXT": "true", "XRAYGPT_CLINICAL_KEY": KEY}
SEALS = {"XRAYGPT_CLINICAL_TEXT": "true", "XRAYGPT_CLINICAL_SEALING_HALF": OPENER.sealing_half.hex()}
