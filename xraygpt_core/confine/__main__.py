"""``python -m xraygpt_core.confine``: go into a cell and say what stands, in one line, as words with blanks between."""

import os

from xraygpt_core.confine import confine

if __name__ == "__main__":
    os.write(1, " ".join(confine()).encode())
