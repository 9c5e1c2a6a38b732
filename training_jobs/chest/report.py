"""How often a chest check errs, kind by kind, with intervals."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_Z = 1.959964  # 95 %


@dataclass(frozen=True)
class ErrorTable:
    """Pooled features (n, zones * channels) and the labels of each row."""

    features: Floats
    kind: NDArray[np.str_]
    group: NDArray[np.str_]
    chest: NDArray[np.bool_]
    original: NDArray[np.bool_]


def first_half(table: ErrorTable) -> NDArray[np.bool_]:
    """Which rows belong to the half of the patients that thresholds are set on."""
    groups, which = np.unique(table.group, return_inverse=True)
    return np.asarray(np.random.default_rng(1).permutation(len(groups))[which] % 2 == 0)


def by_kind(table: ErrorTable, unseen: dict[str, Floats], reject: float, doubt: float) -> dict[str, Any]:
    """For chests: by heads without the patient, on the half no threshold was set on, and by heads without the kind.
    For the others: by heads without the kind."""
    chests, foreign, others = {}, {}, {}
    second = ~first_half(table)
    for kind in map(str, np.unique(table.kind)):
        rows = (table.kind == kind) & table.original
        if table.chest[rows].all():
            chests[kind] = counted(unseen["patient"][rows & second], reject, doubt)
            foreign[kind] = counted(unseen["kind"][rows], reject, doubt)
        else:
            others[kind] = counted(unseen["kind"][rows], reject, doubt)
    return {"chest, without its patient": chests, "chest, without its kind": foreign, "other, without its kind": others}


def counted(scores: Floats, reject: float, doubt: float) -> dict[str, Any]:
    """How many are refused, flagged and passed, and 95 % intervals of the shares that are refused and flagged."""
    n, refused = len(scores), int((scores < reject).sum())
    flagged = int((scores < doubt).sum()) - refused
    return {
        "n": n,
        "refused": refused,
        "flagged": flagged,
        "passed": n - refused - flagged,
        "refused_interval": wilson(refused, n),
        "flagged_interval": wilson(flagged, n),
        "lowest": round(float(scores.min()), 2),
        "highest": round(float(scores.max()), 2),
    }


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % (Wilson 1927)."""
    share, square = hits / n, _Z**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * sqrt(share * (1 - share) / n + square / (4 * n * n))
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)
