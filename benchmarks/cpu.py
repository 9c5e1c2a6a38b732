"""Processor time of whole process trees, from proc(5): what a system costs, in all of its processes."""

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def core_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """User + system seconds of each named tree: its living processes, and the children they have waited for."""
    times: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        times[pid] = sum(int(field) for field in fields[11:15]) / _TICKS
        children.setdefault(int(fields[1]), []).append(pid)
    return {name: _tree(root, times, children) for name, root in roots.items()}


def _tree(root: int, times: Mapping[int, float], children: Mapping[int, list[int]]) -> float:
    below = sum(_tree(child, times, children) for child in children.get(root, []))
    return times.get(root, 0.0) + below
