"""A world of its own: no network interface that is up, no shared memory of others, an empty root, another user."""

import ctypes
import os
from collections.abc import Callable
from functools import partial

from xraygpt_core.confine.kernel import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    checked,
    libc,
    number_of,
    prctl,
    syscall,
)

# <linux/sched.h>
_NEW_MOUNTS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_NET = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x40000000,
)  # fmt: skip
# <sys/mount.h>
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC, _RECURSIVE, _PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
_KILL, _SETGID, _SETUID, _SETPCAP, _SYS_ADMIN = 5, 6, 7, 8, 21  # capabilities(7)
_CAPABILITIES_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64
# User ids above those of containers and below 2^31, not given out (systemd's table of uids): one a process, so
# that two decoders cannot reach each other. A pid is at most 2^22.
FIRST_UID = 1_879_048_192
NOBODY = 65534  # where the ids above do not exist, as in a container with a few mapped ones


def has_capabilities(*wanted: int) -> bool:
    """Are all of these effective? (capget(2))"""
    data = (ctypes.c_uint32 * 6)()
    syscall(number_of("capget"), ctypes.byref(_header()), ctypes.byref(data))
    held = data[0] | data[3] << 32  # effective, permitted, inheritable: the lower halves, then the upper
    return all(held >> one & 1 for one in wanted)


def enter() -> set[str]:
    """Take what can be taken of :func:`leave`, :func:`empty_root` and :func:`change_user`, in the order that works.

    Returns:
        ``network``, ``root`` and ``user``, as far as they stand.
    """
    admin, stand = has_capabilities(_SYS_ADMIN), set[str]()
    if not admin and done(change_user):
        stand.add("user")
    if done(partial(leave, as_user=not admin)):
        stand |= {"network"} if admin else {"network", "user"}
        if done(empty_root):
            stand.add("root")
    drop_bounding_set()
    if admin and done(change_user):
        stand.add("user")
    return stand


def done(step: Callable[[], object]) -> bool:
    """Take a step; False where the kernel, or the container around us, does not let us."""
    try:
        step()
    except OSError:
        return False
    return True


def leave(*, as_user: bool) -> None:
    """Leave the network, shared memory, host name and mounts behind.

    Args:
        as_user: through a user namespace, as a process without CAP_SYS_ADMIN must.

    Raises:
        OSError: the kernel, or the container around us, does not let us.
    """
    flags = _NEW_MOUNTS | _NEW_UTS | _NEW_IPC | _NEW_NET | _NEW_CGROUP | (_NEW_USER if as_user else 0)
    checked(libc().unshare(flags))


def empty_root() -> None:
    """Put an empty, read-only file system where the root was. Only after :func:`leave`: others must not see it.

    Raises:
        OSError: mounting is not allowed.
    """
    call = libc()
    checked(call.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE | _PRIVATE), None))
    flags = ctypes.c_ulong(_READ_ONLY | _NO_SUID | _NO_DEV | _NO_EXEC)
    checked(call.mount(b"none", b"/proc", b"tmpfs", flags, b"size=4k,nr_inodes=2,mode=555"))
    os.chroot("/proc")
    os.chdir("/")


def change_user() -> int:
    """Become a user of our own, for good. The parent must still be able to end us.

    Returns:
        The user's id.

    Raises:
        OSError: we may not, or could not be ended then.
    """
    if not has_capabilities(_KILL, _SETGID, _SETUID):
        raise OSError("changing the user needs CAP_SETUID, CAP_SETGID and CAP_KILL")
    for uid in (FIRST_UID + os.getpid(), NOBODY):
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError:
            continue
        return uid
    raise OSError("no user id is free to change to")


def drop_bounding_set() -> None:
    """See to it that no program could bring a capability back, where we may."""
    if has_capabilities(_SETPCAP):
        for one in range(_MOST_CAPABILITIES):
            if not done(partial(prctl, PR_CAPBSET_DROP, one)):
                break  # there are no more


def drop_capabilities() -> None:
    """Give up all of them.

    Raises:
        OSError: the kernel refuses.
    """
    checked(libc().prctl(PR_CAP_AMBIENT, *map(ctypes.c_ulong, (PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))))
    syscall(number_of("capset"), ctypes.byref(_header()), ctypes.byref((ctypes.c_uint32 * 6)()))


def _header() -> ctypes.Array[ctypes.c_uint32]:
    """struct __user_cap_header_struct, of this process."""
    return (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
