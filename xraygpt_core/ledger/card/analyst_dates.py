"""Whether the analysts' views show the day on which a film was taken: a switch of the installation, set at start."""

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.transaction import Ledger, Work


def show_analyst_dates(ledger: Ledger) -> bool:
    """Let the views do as XRAYGPT_ANALYST_DATES says; the audit has every change. Returns whether it was one."""
    wanted = ledger.settings.analyst_dates

    def body(work: Work) -> bool:
        changed = work.run("UPDATE installation SET analyst_dates = :on WHERE analyst_dates <> :on", {"on": wanted})
        if changed:
            record(work, "days of acquisition shown to analysts" if wanted else "days of acquisition hidden again")
        return bool(changed)

    return repeating(ledger, body)
