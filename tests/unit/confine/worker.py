"""A process like an ingest worker: it has secrets, neighbours and services, shields itself, and starts a decoder.

``python worker.py [--free]`` prints, as JSON, the layers of the decoder's cell, what it tried, and what became of it.
"""

import ctypes
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from xraygpt_core.confine import shield
from xraygpt_core.dicom import frames
from xraygpt_core.dicom.sandbox import _Child
from xraygpt_core.dicom.types import Limits

SECRET = ctypes.create_string_buffer(b"secret!", 8)


def listen(family, kind, address, closing):
    made = closing.enter_context(socket.socket(family, kind))
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def main():
    with ExitStack() as closing:
        home = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        home.chmod(0o777)  # whatever refuses, it is not that a file belongs to somebody else
        (home / "empty").mkdir()
        for name in ("stack.json", "hmac.key", "unlinked", "renamed"):
            (home / name).write_text("secret")
            (home / name).chmod(0o666)
        sibling = subprocess.Popen(["sleep", "60"], env={"SECRET": "of the sibling", "PATH": os.environ["PATH"]})
        closing.callback(sibling.wait)
        closing.callback(sibling.kill)
        unix, abstract = home / "socket", f"attacked-{secrets.token_hex(4)}"
        tcp = listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), closing)
        udp = listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0), closing)
        listen(socket.AF_UNIX, socket.SOCK_STREAM, str(unix), closing)
        listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract, closing)
        unix.chmod(0o777)
        os.set_inheritable(os.open(home / "hmac.key", os.O_RDONLY), True)
        if "--free" not in sys.argv:
            shield()
        order = {
            "home": str(home), "parent": os.getpid(), "sibling": sibling.pid, "address": ctypes.addressof(SECRET),
            "tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "unix": str(unix), "abstract": abstract,
        }  # fmt: skip
        command = [sys.executable, "-P", str(Path(__file__).with_name("attacker.py")), *sys.argv[1:]]
        child = _Child(command, Limits(10**6, 60.0, 2**28))
        closing.callback(child.end)
        assert child.cell or "--free" in sys.argv, "what it tries would be done"
        frames.send(child._channel, json.dumps(order).encode())
        outcomes = json.loads(frames.receive_reply(child._channel, time.monotonic() + 60))
        status = Path(f"/proc/{child.pid}/status").read_text()
        words = ("Uid", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")
        kept = dict(line.split(":\t") for line in status.splitlines() if line.split(":")[0] in words)
    sys.stdout.write(json.dumps({"cell": child.cell, "outcomes": outcomes, "status": kept}))


if __name__ == "__main__":
    main()
