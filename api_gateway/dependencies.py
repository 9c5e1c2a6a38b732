"""The objects that routes share, and the typed dependencies that pass them in."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from api_gateway.sns import Sns
from xraygpt_core.clinical_sealing import ClinicalSealer
from xraygpt_core.ledger.jobs.status import Counts
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.sealing import Sealer
from xraygpt_core.settings import Settings
from xraygpt_core.storage import ObjectStore


@dataclass(frozen=True)
class Dependencies:
    """One of each per process.

    Attributes:
        sealer: opens the hospital's numbers; None where the installation keeps none.
        clinical: seals what requests say of their films; None where models are shown no such words.
    """

    ledger: Ledger
    store: ObjectStore
    pseudonymiser: Pseudonymiser
    sns: Sns
    sealer: Sealer | None = None
    clinical: ClinicalSealer | None = None

    @property
    def settings(self) -> Settings:
        """The settings of the ledger."""
        return self.ledger.settings

    @cached_property
    def counts(self) -> Counts:
        """Counts of jobs, cached for all callers."""
        return Counts(self.ledger)


async def _services(request: Request) -> Dependencies:  # a plain function would wait for a thread
    services: Dependencies = request.app.state.services
    return services


async def _ledger(services: Annotated[Dependencies, Depends(_services)]) -> Ledger:
    return services.ledger


# For routes without a caller. Routes with one take UsesServices and UsesLedger of api_gateway.auth.
OpenServices = Annotated[Dependencies, Depends(_services)]
OpenLedger = Annotated[Ledger, Depends(_ledger)]
