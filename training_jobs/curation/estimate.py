"""What a curation by a model would take, before anybody is asked."""

from collections import Counter
from typing import Any

from training_jobs.curation.budget import tokens_of
from training_jobs.curation.rules import reason_to_drop
from training_jobs.curation.run import Plan, Source


def estimate(source: Source, plan: Plan) -> dict[str, Any]:
    """What asking a model would take at most, if every report is answered at once; nobody is asked.

    An answer is counted as long as its report, which it hardly ever is; objections ask a second time.
    """
    counts: Counter[str] = Counter()
    tokens_in = tokens_out = read = 0
    system = tokens_of(plan.prompts.system) if plan.prompts else 0
    for record in source.records():
        read += 1
        reason = "unreadable" if record.broken else reason_to_drop(record.findings, record.impression)
        if reason is not None:
            counts[reason] += 1
        elif plan.prompts is not None:
            tokens_in += system + tokens_of(plan.prompts.first(record.findings, record.impression))
            tokens_out += tokens_of(record.findings + record.impression)
    kept = read - counts.total()
    minutes = None
    if plan.limits.requests or plan.limits.tokens:
        by_requests = kept / plan.limits.requests if plan.limits.requests else 0.0
        by_tokens = (tokens_in + tokens_out) / plan.limits.tokens if plan.limits.tokens else 0.0
        minutes = round(max(by_requests, by_tokens), 1)
    return {
        "read": read,
        "kept": kept,
        "dropped": dict(sorted(counts.items())),
        "dry_run": True,
        "calls": kept,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost": round(plan.limits.cost(tokens_in, tokens_out), 4),
        "minutes_at_least": minutes,
    }
