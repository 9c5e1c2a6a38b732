"""``train --check``: the sets of a mixture, read as a run would read them. It takes 0.2 s to import."""

from collections import Counter
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.files import open_set
from xraygpt_core.training.datasets.problems import Problems
from xraygpt_core.training.datasets.read import across_sets, read_set
from xraygpt_core.training.datasets.splits import SplitOf
from xraygpt_core.training.mixture import Mixture, SetSpec

_SHOWN = 20  # problems of a set


def checked(mixture: Mixture) -> dict[str, Any]:
    """Read every set that lies on this machine as a run would, and train nothing.

    Returns:
        ``{"sets": [{"name", "reader", "pairs": {split: n}, "patients", "errors", "left_out": {kind: n}, "problems":
        [text]}], "errors": n}``; of a set that only the queue can read, ``"pairs"`` is None.
    """
    seen = SplitOf()
    sets = [_checked(spec, seen) for spec in mixture.sets]
    return {"sets": sets, "errors": sum(one["errors"] for one in sets)}


def _checked(spec: SetSpec, seen: SplitOf) -> dict[str, Any]:
    told: dict[str, Any] = {"name": spec.name, "reader": spec.reader, "pairs": None, "patients": None}
    if spec.drawn or spec.reader == "ledger" or str(spec.path).startswith("s3://"):
        return told | {"errors": 0, "left_out": {}, "problems": []}
    pairs: Counter[str] = Counter()
    patients: set[str] = set()
    across = Problems()
    try:
        reading = read_set(spec, *open_set(spec))
        for pair in across_sets(reading.pairs, seen, across):
            pairs[pair.split] += 1
            patients.add(pair.patient)
    except TrainingError as error:
        return told | {"errors": 1, "left_out": {}, "problems": [str(error)]}
    problems = [*reading.problems, *across]
    errors = reading.problems.errors + across.errors
    counts = reading.problems.counts + across.counts
    told |= {"pairs": dict(pairs), "patients": len(patients), "errors": errors}
    return told | {"left_out": dict(sorted(counts.items())), "problems": [str(one) for one in problems[:_SHOWN]]}
