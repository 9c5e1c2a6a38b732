"""The layers of the cell by themselves: what they are made of, and what a process says that has taken them."""

import errno
import os
import platform
import struct
import subprocess
import sys

import pytest

from xraygpt_core import confine
from xraygpt_core.confine import landlock, namespaces, seccomp

LAYERS = set(confine.LAYERS)


def run(code: str) -> str:
    """What a process of its own prints."""
    head = "import errno, os, socket, sys\nfrom xraygpt_core import confine\nfrom xraygpt_core.confine import *\n"
    done = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Filter:
    """The kernel's machine for the few instructions that we use (Linux, Documentation/networking/filter)."""

    def __init__(self, machine: str, pid: int) -> None:
        self.code = [struct.unpack("=HBBI", part) for part in _parts(seccomp.program(machine, pid))]

    def verdict(self, architecture: int, number: int, *arguments: int) -> int:
        data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
        at, word = 0, 0
        while True:
            code, then, otherwise, value = self.code[at]
            at += 1
            match code:
                case 0x20:
                    word = struct.unpack_from("=I", data, value)[0]
                case 0x54:
                    word &= value
                case 0x15:
                    at += then if word == value else otherwise
                case 0x35:
                    at += then if word >= value else otherwise
                case 0x06:
                    return value


def _parts(code: bytes) -> list[bytes]:
    return [code[at : at + 8] for at in range(0, len(code), 8)]


ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
X86, ARM = 0xC000003E, 0xC00000B7
ME, PROT_EXEC = 4242, 4


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        ((X86, 0, 3), ALLOW),  # read
        ((X86, 2), REFUSE),  # open
        ((X86, 257), REFUSE),  # openat
        ((X86, 59), REFUSE),  # execve
        ((X86, 41), REFUSE),  # socket
        ((X86, 56), REFUSE),  # clone
        ((X86, 101), REFUSE),  # ptrace
        ((X86, 9, 0, 4096, 3), ALLOW),  # mmap, to read and write
        ((X86, 9, 0, 4096, 3 | PROT_EXEC), REFUSE),
        ((X86, 10, 0, 4096, PROT_EXEC), REFUSE),  # mprotect
        ((X86, 62, ME), ALLOW),  # kill
        ((X86, 62, ME + 1), REFUSE),
        ((X86, 62, 2**64 - 1), REFUSE),  # everybody
        ((X86, 62, 2**32 + ME), REFUSE),
        ((X86, 302, 0), ALLOW),  # prlimit64
        ((X86, 302, 1), REFUSE),
        ((X86, 0x40000000), KILL),  # read, of x32
        ((0x40000003, 3), KILL),  # read, of i386
        ((X86, 100_000), REFUSE),
    ],
)
def test_a_call_is_allowed_refused_or_the_end(call: tuple[int, ...], verdict: int) -> None:
    assert Filter("x86_64", ME).verdict(*call) == verdict


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        ((ARM, 63), ALLOW),  # read
        ((ARM, 56), REFUSE),  # openat
        ((ARM, 221), REFUSE),  # execve
        ((ARM, 222, 0, 4096, 3), ALLOW),  # mmap
        ((ARM, 222, 0, 4096, 7), REFUSE),
        ((ARM, 131, ME), ALLOW),  # tgkill
        ((ARM, 129, 1), REFUSE),  # kill
        ((X86, 63), KILL),
    ],
)
def test_the_same_on_arm(call: tuple[int, ...], verdict: int) -> None:
    assert Filter("aarch64", ME).verdict(*call) == verdict


def test_a_processor_that_is_not_known_has_no_filter() -> None:
    with pytest.raises(OSError, match="riscv64"):
        seccomp.program("riscv64", 1)


def test_each_version_of_landlock_is_asked_for_what_it_knows() -> None:
    assert landlock.handled(1) == (0x1FFF, 0, 0)
    assert landlock.handled(3) == (0x7FFF, 0, 0)
    assert landlock.handled(4) == (0x7FFF, 3, 0)
    assert landlock.handled(7) == (0xFFFF, 3, 3)


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_landlock_alone_closes_the_files() -> None:
    code = "from xraygpt_core.confine.kernel import prctl\nprctl(38, 1); landlock.restrict()\n"
    refused = "try: open('/etc/passwd'); print('read')\nexcept PermissionError as error: print(error.errno)\n"
    assert run(code + refused) == str(errno.EACCES)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="its calls are not known")
def test_seccomp_alone_closes_files_and_network() -> None:
    code = "from xraygpt_core.confine.kernel import prctl\nprctl(38, 1); seccomp.restrict()\nsaid = []\n"
    tries = "for act in (lambda: open('/etc/passwd'), socket.socket, os.fork, lambda: os.kill(1, 0)):\n"
    tries += "    try: act(); said.append(0)\n    except OSError as error: said.append(error.errno)\n"
    tries += "os.write(1, str(said).encode())"
    assert run(code + tries) == str([errno.EPERM] * 4)


@pytest.mark.skipif(os.getuid() != 0, reason="only root changes its user")
def test_a_user_of_its_own_that_nobody_has() -> None:
    uid = int(run("print(namespaces.change_user())"))
    assert uid > namespaces.FIRST_UID or uid == namespaces.NOBODY


@pytest.mark.parametrize(
    ("stand", "complete"),
    [
        (LAYERS, True),
        (LAYERS - {"user", "network", "root"}, True),  # as in a container
        (LAYERS - {"landlock"}, True),  # an older kernel
        (LAYERS - {"seccomp"}, False),
        (LAYERS - {"privileges"}, False),
        ({"privileges", "seccomp"}, False),  # nothing stands behind it
        (set(), False),
    ],
)
def test_when_a_cell_holds(stand: set[str], complete: bool) -> None:
    assert confine.is_complete(stand) is complete


def test_descriptors_that_are_not_given_are_closed() -> None:
    code = "first, second = os.pipe()\nother = os.dup(first)\nconfine(keep=[other])\nos.write(1, b'sent')\n"
    code += "try: os.read(first, 1)\nexcept OSError as error: os.write(1, errno.errorcode[error.errno].encode())\n"
    assert run(code + "os.read(other, 0)") == "sentEBADF"


def test_where_nothing_can_be_taken_nothing_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "LINUX", False)
    assert confine.confine() == []
    assert confine.shield() is False
