"""``python -m workers.sealing_half``: print the sealing half of the key of the clinical text, for gateway and ingest.

The key is that of XRAYGPT_CLINICAL_KEY_FILE or XRAYGPT_CLINICAL_KEY. Its half is 136 hex digits, the same ones each
time, and opens nothing.
"""

import sys

from xraygpt_core.clinical_sealing import sealing_half
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.key_settings import KeySettings
from xraygpt_core.settings import read_settings


def main() -> int:
    """Exit status: 0; 1 with one sentence on stderr."""
    try:
        half = sealing_half(read_settings(KeySettings))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{half}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
