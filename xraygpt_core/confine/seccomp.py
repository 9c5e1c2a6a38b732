"""A seccomp filter (seccomp(2)): the calls a decoder needs that is loaded and has its one channel, and no other.

What is not on the list fails with EPERM. Codecs and the C library probe for what they can do without; a film must not
become unreadable because a newer library asks for something new first. Calls in the numbering of another processor are
never a decoder's: they kill the process.
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

from xraygpt_core.confine.kernel import number_of, syscall

# <linux/audit.h>, and the numbers of <asm/unistd.h>: (x86_64, aarch64), None where the call does not exist.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # the bit of the x32 calls, which have the architecture of x86_64

# Data through what is open, memory, time, signals to itself, the end.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "readv": (19, 65),
    "writev": (20, 66),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "poll": (7, None),
    "ppoll": (271, 73),
    "close_range": (436, 436),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}


@dataclass(frozen=True)
class _Checked:
    """A call that is allowed by one of its arguments: ``value`` under ``mask`` (the lower half; the upper is zero)."""

    numbers: tuple[int, int]
    argument: int
    mask: int
    value: int


_PROT_EXEC = 4


def _checked(pid: int) -> tuple[_Checked, ...]:
    """Memory that is not executed, signals to ``pid``, and limits of this process (pid 0)."""
    every = 0xFFFFFFFF
    return (
        _Checked((9, 222), 2, _PROT_EXEC, 0),  # mmap
        _Checked((10, 226), 2, _PROT_EXEC, 0),  # mprotect
        _Checked((62, 129), 0, every, pid),  # kill
        _Checked((234, 131), 0, every, pid),  # tgkill: abort(3)
        _Checked((302, 261), 0, every, 0),  # prlimit64: setrlimit(3)
    )


# <linux/bpf_common.h>, <linux/seccomp.h>.
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _KILL, _EPERM = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # of struct seccomp_data
_SET_MODE_FILTER, _ALL_THREADS = 1, 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """struct sock_filter; ``then`` and ``otherwise`` are how many instructions are stepped over."""
    return struct.pack("=HBBI", code, then, otherwise, value)


def program(machine: str, pid: int) -> bytes:
    """The filter for a kind of processor (as ``uname -m`` says) and this process.

    Raises:
        OSError: the numbers of its calls are not known.
    """
    if machine not in _ARCHITECTURES:
        raise OSError(f"the numbers of {machine}'s calls are not known")
    column = list(_ARCHITECTURES).index(machine)
    made = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUAL, _ARCHITECTURES[machine], then=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        made += [_instruction(_AT_LEAST, _X32, otherwise=1), _instruction(_RETURN, _KILL)]
    for numbers in _ALLOWED.values():
        if (number := numbers[column]) is not None:
            made += [_instruction(_EQUAL, number, otherwise=1), _instruction(_RETURN, _ALLOW)]
    for one in _checked(pid):
        lower = _ARGUMENTS_AT + 8 * one.argument  # both processors are little endian
        made += [
            _instruction(_EQUAL, one.numbers[column], otherwise=7),
            _instruction(_LOAD, lower + 4),
            _instruction(_EQUAL, 0, otherwise=4),
            _instruction(_LOAD, lower),
            _instruction(_AND, one.mask),
            _instruction(_EQUAL, one.value, otherwise=1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _EPERM),
        ]
    return b"".join([*made, _instruction(_RETURN, _EPERM)])


def restrict() -> None:
    """From here on only what the list allows. Needs no_new_privs; there is no way back.

    Raises:
        OSError: the kernel has no seccomp filters, or the processor is not known here.
    """
    code = program(platform.machine(), os.getpid())
    given = _Program(len(code) // 8, code)
    syscall(number_of("seccomp"), _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(given))
