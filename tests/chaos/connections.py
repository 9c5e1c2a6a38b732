"""What a stopped process still has under way: its database carries out a COMMIT that was sent, whoever sent it."""

import os
from pathlib import Path


def ports_of(pid: int) -> list[int]:
    """Our ends of the TCP connections that a process has open (proc(5), net/tcp)."""
    held = {os.readlink(descriptor) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    return [_port(line[1]) for line in _table() if f"socket:[{line[9]}]" in held]


def unread(server: int, clients: list[int]) -> bool:
    """Has the server on this port not yet read everything that came from these ports?"""
    ends = [line for line in _table() if _port(line[1]) == server and _port(line[2]) in clients]
    return any(int(line[4].partition(":")[2], 16) for line in ends)


def _table() -> list[list[str]]:
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)
