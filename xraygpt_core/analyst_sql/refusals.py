"""What PostgreSQL refuses, said so that an analyst knows what to do; anything else in its own words."""

import re

# The first one to begin with. A test compares them with what the migrations grant.
VIEWS = (
    *("all_studies", "study_summaries", "findings", "readings", "study_facts", "turnaround", "summary_reviews"),
    *("chat_transcripts", "shadow_readings", "backlog_progress", "backlog_history", "dead_jobs", "training_progress"),
    *("work_history", "workers_now", "workers_hourly"),
)
_NO_ROWS = re.compile(r"cannot open (.+) query as cursor|cannot (delete|update|insert)(?: from| into)? view .+")
_TABLE = re.compile(r"permission denied for (?:table|view|sequence|materialized view) (?P<name>.+)")
_SEVERAL = "cannot open multi-query plan as cursor"
_TOO_LONG = "canceling statement due to statement timeout"
_UNKNOWN_RELATION = "42P01"


def refusal(state: str | None, message: str, seconds: float) -> str:
    """One sentence for this error.

    Args:
        state: PostgreSQL's code of it (SQLSTATE).
        seconds: what a statement may take.
    """
    if message == _SEVERAL:
        return "there is more than one statement here: give one SELECT, and run each by itself"
    if found := _NO_ROWS.fullmatch(message):
        kind = found[1] or found[2].upper()
        return f"{kind} does not run here: a query reads, so give one SELECT over the views"
    if found := _TABLE.fullmatch(message):
        first, *others = VIEWS
        return f"{found['name']} is no view of analysts: begin with {first}; the others are {', '.join(others)}"
    if message == _TOO_LONG:
        return (
            f"the statement took longer than a query may ({seconds:g} s): ask for fewer days or studies in WHERE, or "
            "take psql with the reader's address"
        )
    return f"{message}; the views are {', '.join(VIEWS)}" if state == _UNKNOWN_RELATION else message
