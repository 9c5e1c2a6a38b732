"""Films of a run's sets that could not be prepared: told to its report by number, to trainers with file and line."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.context import Context
from xraygpt_core.errors import ObjectMissing
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.training.plan import keep_problems, problems_of
from xraygpt_core.training.pairs import Pair

PROBLEMS = "problems.jsonl"  # of a corpus; the report counts what stands there
_LISTED = 1000


def store_problems(context: Context, problems: Sequence[dict[str, Any]], counts: dict[str, int]) -> str:
    """Store a list of problems where a trainer may read it; its key."""
    data = json.dumps({"problems": problems, "counts": counts}, indent=1).encode()
    key = f"training/problems/{hashlib.sha256(data).hexdigest()}.json"
    context.store.put(key, data, "application/json")
    return key


def note_dropped(context: Context, claim: Claim, corpus: Path, dropped: Sequence[tuple[Pair, str]]) -> None:
    """Add these films to what the plan left out: in the corpus by number, and in the list for trainers.

    Done again for the same films, it adds nothing.
    """
    _, key = problems_of(context.ledger, claim)
    before: dict[str, Any] = {"problems": [], "counts": {}}
    if key is not None:
        try:
            before = json.loads(context.store.get(key))
        except ObjectMissing:
            key = None
    now = Counter(f"film {reason}" for _, reason in dropped)
    if any(before["counts"].get(name) != count for name, count in now.items()):
        listed = [
            {
                "set": pair.set_name,
                "where": pair.where or pair.pair_id,
                "what": "its film is not trained on",
                "kind": reason,
            }
            for pair, reason in dropped[:_LISTED]
        ]
        others = [one for one in before["problems"] if one not in listed]
        before = {"problems": [*others, *listed], "counts": {**before["counts"], **now}}
        said = ", ".join(f"{kind} {count}" for kind, count in sorted(before["counts"].items()))
        keep_problems(context.ledger, claim, f"not trained on: {said}", store_problems(context, **before))
    if before["counts"]:
        (corpus / PROBLEMS).write_text(json.dumps({"set": "all sets", "counts": before["counts"]}) + "\n")
