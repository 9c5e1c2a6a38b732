"""A decoding process that was taken over before its first file: a table of what it then tries, act by act.

Started like the real child, by :mod:`tests.unit.confine.worker`. The order it gets is JSON: where the worker's targets
are. Its answer is JSON: what each act came to.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import socket
import sys
from functools import partial
from pathlib import Path

from xraygpt_core.dicom import decoder_child

# Without a cell these would do harm.
FREE, NEVER_FREE = (
    "--free" in sys.argv,
    ("kernel", "file: mount", "file: unmount", "file: chroot", "process: signal every"),
)
LIBC = ctypes.CDLL(None, use_errno=True)
# (x86_64, aarch64): <asm/unistd.h>
_NUMBERS = {
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "memfd_create": (319, 279),
    "execveat": (322, 281),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "kcmp": (312, 272),
    "seccomp": (317, 277),
    "mq_open": (240, 180),
    "clone": (56, 220),
    "migrate_pages": (256, 238),
    "init_module": (175, 105),
}


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def call(name, *arguments):
    column = ("x86_64", "aarch64").index(platform.machine())
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return checked(LIBC.syscall(ctypes.c_long(_NUMBERS[name][column]), *words))


def libc(name, *arguments):
    return checked(getattr(LIBC, name)(*arguments))


def connect(family, kind, address, data=None):
    with socket.socket(family, kind) as made:
        made.settimeout(2)
        made.connect(address)
        if data:
            made.send(data)


def read_byte(path):
    with Path(path).open("rb") as opened:
        opened.read(1)


def inet(port):
    with socket.socket() as made:
        made.bind(("127.0.0.1", port))


def vm(name, to):
    class Vector(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    mine = ctypes.create_string_buffer(8)
    here, there = Vector(ctypes.addressof(mine), 8), Vector(to["address"], 8)
    call(name, to["parent"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0)


def fork():
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def run_id():
    if (pid := os.fork()) == 0:
        try:
            os.execv("/usr/bin/id", ["id"])
        finally:
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise OSError("it did not start")


def clone():
    if (pid := call("clone", signal.SIGCHLD, None, None, None, None)) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def run_from_memory():
    descriptor = call("memfd_create", b"run", 0)
    os.write(descriptor, b"#!/bin/true\n")
    empty = (ctypes.c_char_p * 1)(None)
    call("execveat", descriptor, b"", empty, empty, 0x1000)


def execute_memory():
    import mmap

    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def more_descriptors():
    """Any descriptor but the three that lead nowhere and the channel."""
    found = []
    for descriptor in range(256):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    if len(found) <= 4:
        raise OSError(f"only {len(found)} descriptors are open")


def acts(to):
    """Name and function of each; one that returns has succeeded."""
    home, parent = Path(to["home"]), to["parent"]
    read = {
        "stack.json": home / "stack.json",
        "hmac.key": home / "hmac.key",
        "the password file": "/etc/passwd",
        "a library": "/usr/bin/env",
        "the parent's environment": f"/proc/{parent}/environ",
        "a sibling's environment": f"/proc/{to['sibling']}/environ",
        "the parent's memory": f"/proc/{parent}/mem",
        "the parent's map": f"/proc/{parent}/maps",
        "the parent's status": f"/proc/{parent}/status",
        "its own environment": "/proc/self/environ",
        "the mount table": "/proc/self/mounts",
        "zeros": "/dev/zero",
        "random numbers": "/dev/urandom",
        "kernel memory": "/dev/mem",
        "fuse": "/dev/fuse",
        "the terminal": "/dev/tty",
    }
    table = {f"read {name}": partial(read_byte, path) for name, path in read.items()}
    listed = {"home": home, "the root": "/", "of root": Path("/", "root"), "/proc": "/proc"}
    listed |= {"open files": f"/proc/{parent}/fd"}
    table |= {f"list {name}": partial(os.listdir, path) for name, path in listed.items()}
    files = {
        "stat": lambda: os.stat(home / "stack.json"),
        "access": lambda: libc("access", bytes(home), 0),
        "readlink": lambda: os.readlink(f"/proc/{parent}/exe"),
        "chdir": lambda: os.chdir(home),
        "create in /tmp": lambda: os.open("/tmp/of-the-attacker", os.O_CREAT | os.O_WRONLY),
        "create in home": lambda: os.open(home / "new", os.O_CREAT | os.O_WRONLY),
        "create without a name": lambda: os.open("/tmp", os.O_TMPFILE | os.O_WRONLY),
        "append": lambda: os.open(home / "stack.json", os.O_APPEND | os.O_WRONLY),
        "truncate": lambda: os.truncate(home / "stack.json", 0),
        "unlink": lambda: os.unlink(home / "unlinked"),
        "rename": lambda: os.rename(home / "renamed", home / "moved"),
        "link": lambda: os.link(home / "stack.json", home / "linked"),
        "symlink": lambda: os.symlink("/etc", home / "symlinked"),
        "mkdir": lambda: os.mkdir(home / "made"),
        "rmdir": lambda: os.rmdir(home / "empty"),
        "mkfifo": lambda: os.mkfifo(home / "fifo"),
        "chmod": lambda: os.chmod(home / "stack.json", 0o777),
        "chown": lambda: os.chown(home / "stack.json", os.getuid(), -1),
        "utime": lambda: os.utime(home / "stack.json"),
        "setxattr": lambda: os.setxattr(home / "stack.json", "user.of", b"1"),
        "watch": lambda: libc("inotify_add_watch", libc("inotify_init"), bytes(home), 0x100),
        "mount": lambda: libc("mount", b"none", bytes(home / "empty"), b"tmpfs", 0, None),
        "unmount": lambda: libc("umount", bytes(home / "empty")),
        "chroot": lambda: os.chroot("/tmp"),
        "open by handle": lambda: call("open_by_handle_at", -100, ctypes.create_string_buffer(64), 0),
    }
    v4, unix, stream = socket.AF_INET, socket.AF_UNIX, socket.SOCK_STREAM
    network = {
        "TCP": lambda: connect(v4, stream, ("127.0.0.1", to["tcp"])),
        "UDP": lambda: connect(v4, socket.SOCK_DGRAM, ("127.0.0.1", to["udp"]), b"out"),
        "UDP far away": lambda: connect(v4, socket.SOCK_DGRAM, ("192.0.2.1", 53), b"out"),
        "unix socket": lambda: connect(unix, stream, to["unix"]),
        "abstract socket": lambda: connect(unix, stream, "\0" + to["abstract"]),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
        "listen": lambda: inet(0),
        "vsock": lambda: socket.socket(socket.AF_VSOCK, stream),
        "socket pair": socket.socketpair,
    }
    processes = {
        "run id": run_id,
        "run from memory": run_from_memory,
        "execute memory": execute_memory,
        "fork": fork,
        "clone": clone,
        "read the parent's memory": lambda: vm("process_vm_readv", to),
        "write the parent's memory": lambda: vm("process_vm_writev", to),
        "compare with the parent": lambda: call("kcmp", os.getpid(), parent, 2, 0, 0),
        "a handle of the parent": lambda: call("pidfd_open", parent, 0),
        "signal the parent": lambda: os.kill(parent, signal.SIGCONT),
        "signal the parent's group": lambda: os.killpg(os.getpgid(parent), signal.SIGCONT),
        "signal a sibling": lambda: os.kill(to["sibling"], signal.SIGCONT),
        "signal everybody": lambda: os.kill(-1, signal.SIGCONT),
        "limit the parent": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE, (256, 256)),
        "the parent's limits": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE),
        "the parent's scheduling": lambda: os.sched_setaffinity(parent, {0}),
        "the parent's priority": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
        "the parent's pages": lambda: call("migrate_pages", parent, 0, None, None),
        "more descriptors": more_descriptors,
        "trace the parent": lambda: libc("ptrace", 0x4206, parent, None, None),  # the last: signals would stop it
    }
    kernel = {
        "user namespace": lambda: libc("unshare", 0x10000000),
        "network namespace": lambda: libc("unshare", 0x40000000),
        "the parent's namespace": lambda: call("setns", os.open(f"/proc/{parent}/ns/net", os.O_RDONLY), 0),
        "io_uring": lambda: call("io_uring_setup", 1, ctypes.create_string_buffer(120)),
        "bpf": lambda: call("bpf", 0, ctypes.create_string_buffer(64), 64),
        "perf": lambda: call("perf_event_open", ctypes.create_string_buffer(b"\x01\0\0\0\x40", 64), 0, -1, -1, 0),
        "keyring": lambda: call("keyctl", 0, -3, 1),
        "add key": lambda: call("add_key", b"user", b"name", b"data", 4, -3),
        "shared memory": lambda: libc("shmget", 0x58, 4096, 0o1600),
        "message queue": lambda: libc("msgget", 0x58, 0o1600),
        "semaphore": lambda: libc("semget", 0x58, 1, 0o1600),
        "POSIX queue": lambda: call("mq_open", b"attack", os.O_CREAT | os.O_RDWR, 0o600, None),
        "page faults": lambda: call("userfaultfd", 1),
        "setuid 0": lambda: os.setresuid(0, 0, 0),
        "setgid 0": lambda: os.setresgid(0, 0, 0),
        "groups": lambda: os.setgroups([0]),
        "personality": lambda: libc("personality", 0x0040000),
        "dumpable": lambda: libc("prctl", 4, 1, 0, 0, 0),
        "another filter": lambda: call("seccomp", 2, 0, ctypes.c_char_p(b"\x06")),
        "host name": lambda: socket.sethostname("attacked"),
        "a kernel module": lambda: call("init_module", b"", 0, b""),
        "the kernel's log": lambda: libc("klogctl", 3, ctypes.create_string_buffer(64), 64),
        "more memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2),
        "more files": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2),
    }
    for group, some in (("file: ", files), ("net: ", network), ("process: ", processes), ("kernel: ", kernel)):
        table |= {group + name: act for name, act in some.items()}
    return table


def attack(order, _limits):
    outcomes = {}
    for name, act in acts(json.loads(order)).items():
        if FREE and name.startswith(NEVER_FREE):
            continue
        try:
            act()
        except OSError as error:
            outcomes[name] = f"refused ({error.errno})"
        except ValueError as error:  # setrlimit
            outcomes[name] = f"refused ({error})"
        else:
            outcomes[name] = "SUCCEEDED"
    return json.dumps(outcomes).encode()


if __name__ == "__main__":
    if FREE:  # what the table says without a cell: that it can fail
        sys.argv.remove("--free")
        decoder_child.confine = lambda keep: []
    decoder_child.main(attack)
