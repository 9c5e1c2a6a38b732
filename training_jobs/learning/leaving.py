"""How one process of several ends."""

import os
import sys


def several() -> bool:
    """Whether torchrun's variables say that this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def leave(code: int) -> int:
    """End this process at once if it is one of several; alone, return the exit code.

    gloo's threads wait for peers that may be dead, and abort an interpreter that ends in good order.
    """
    if several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
