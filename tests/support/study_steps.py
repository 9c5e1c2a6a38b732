"""One study at a time through the doors that take many."""

from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.settle import settle_many
from xraygpt_core.ledger.transaction import Ledger


def complete_ingest(ledger: Ledger, claim: Claim, image: IngestedImage) -> None:
    """Put one read image into its study. Raises LeaseLost: the job is no longer ours."""
    _finished(claim, complete_ingests(ledger, [(claim, image)]))


def settle(ledger: Ledger, claim: Claim) -> None:
    """Settle one study. Raises LeaseLost: the job is no longer ours."""
    _finished(claim, settle_many(ledger, [claim]))


def _finished(claim: Claim, done: set[object]) -> None:
    if claim.job_id not in done:
        raise LeaseLost(f"job {claim.job_id} was not finished")
