"""``python as_nobody.py COMMAND…``, as root in a mount namespace of its own: run a command as the user nobody.

The interpreter and this repository may lie in somebody's home. In this namespace alone everybody may go there.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

from xraygpt_core.confine.kernel import checked, libc

NOBODY, MS_BIND = 65534, 4096


def hidden(path):
    """The first directory on the way there that is closed to others."""
    return next((one for one in [*reversed(path.parents), path] if not one.stat().st_mode & 1), None)


def show(paths):
    handles = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in paths}
    for path, handle in handles.items():
        while (closed := hidden(path) if path.exists() else None) is not None:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", closed], check=True)
        if not path.exists() or not any(path.iterdir()):
            path.mkdir(parents=True, exist_ok=True)
            # mount(8) would look where the handle's name leads, which is here.
            checked(libc().mount(f"/proc/self/fd/{handle}".encode(), bytes(path), None, ctypes.c_ulong(MS_BIND), None))


if __name__ == "__main__":
    show([Path(one).resolve() for one in (sys.base_prefix, sys.prefix, Path(__file__).parents[3])])
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execv(sys.argv[1], sys.argv[1:])
