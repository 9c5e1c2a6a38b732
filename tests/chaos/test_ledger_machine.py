"""Whatever workers, the clock and the reconciler do, in whatever order: the ledger is where a small model says."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.support.ledger_tools import do, expire, job_of, rows
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs.claims import claim_next, fail, heartbeat, release
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.training.runs import complete_run, create_run, move_checkpoint
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

JOBS = 2
ATTEMPTS = 3

LOOK = """
    SELECT j.id, j.state, j.attempts, j.lease_epoch, r.state AS run_state, r.result_prefix
    FROM jobs j JOIN training_runs r ON r.id = j.subject
"""


@dataclass
class Model:
    """All there is to know about one job."""

    job_id: UUID
    run_id: UUID
    state: str = "queued"
    attempts: int = 0
    epoch: int = 0
    live: bool = False
    paused: bool = False  # until the dispatcher looks
    result: str | None = None

    def owned_by(self, got: Claim) -> bool:
        return self.state == "running" and self.live and self.epoch == got.epoch


def machine(ledger: Ledger) -> type[RuleBasedStateMachine]:
    """The state machine on this ledger."""

    class LedgerMachine(RuleBasedStateMachine):
        claims: Bundle[Claim] = Bundle("claims")

        def __init__(self) -> None:
            super().__init__()
            self.models: list[Model] = []

        @initialize()
        def some_jobs(self) -> None:
            for _ in range(JOBS):
                run_id = create_run(ledger, "stage1", {}, None)
                self.models.append(Model(job_of(ledger, JobKind.TRAIN, run_id), run_id))

        def model_of(self, got: Claim) -> Model:
            return next(model for model in self.models if model.job_id == got.job_id)

        @rule(target=claims)
        def someone_claims(self) -> Any:
            taken = claim_next(ledger, [(JobKind.TRAIN, Lane.ROUTINE)], "w")
            ready = [model for model in self.models if model.state == "queued" and not model.paused]
            assert [got.job_id for got in taken] == [model.job_id for model in ready[:1]]
            if not taken:
                return multiple()
            (got,), model = taken, ready[0]
            model.state, model.live = "running", True
            model.attempts += 1
            model.epoch += 1
            assert (got.epoch, got.attempts) == (model.epoch, model.attempts)
            return got

        @rule(which=st.integers(0, JOBS - 1))
        def a_lease_ends(self, which: int) -> None:
            expire(ledger, self.models[which].job_id)
            self.models[which].live = False

        @rule(beating=st.lists(claims, max_size=4))
        def workers_beat(self, beating: list[Claim]) -> None:
            held = heartbeat(ledger, beating)
            assert held == {got.job_id for got in beating if self.model_of(got).owned_by(got)}

        @rule(got=claims)
        def someone_completes(self, got: Claim) -> None:
            model = self.model_of(got)
            prefix = f"runs/{got.epoch}"
            if self.lost(model, got, lambda: complete_run(ledger, got, prefix)):
                return
            model.state, model.live, model.result = "done", False, prefix

        @rule(got=claims, retry=st.booleans())
        def someone_fails(self, got: Claim, retry: bool) -> None:
            model = self.model_of(got)
            if self.lost(model, got, lambda: fail(ledger, got, "no", retry=retry)):
                return
            model.state = "queued" if retry and model.attempts < ATTEMPTS else "dead"
            model.live, model.paused = False, True

        @rule(got=claims)
        def someone_hands_back(self, got: Claim) -> None:
            model = self.model_of(got)
            if self.lost(model, got, lambda: release(ledger, got)):
                return
            model.state, model.live = "queued", False
            model.attempts -= 1

        @rule(got=claims)
        def someone_moves_the_checkpoint(self, got: Claim) -> None:
            model = self.model_of(got)
            if not self.lost(model, got, lambda: move_checkpoint(ledger, got, f"c/{got.epoch}", got.epoch)):
                model.attempts = 1

        @rule()
        def the_reconciler_looks(self) -> None:
            tick(ledger)
            for model in self.models:
                model.paused = False
                if model.state == "running" and not model.live:
                    model.state = "queued" if model.attempts < ATTEMPTS else "dead"

        @invariant()
        def the_database_agrees(self) -> None:
            found = {row["id"]: row for row in rows(ledger, LOOK)}
            for model in self.models:
                row = found[model.job_id]
                assert (row["state"], row["attempts"], row["lease_epoch"], row["result_prefix"]) == (
                    model.state,
                    model.attempts,
                    model.epoch,
                    model.result,
                )
                assert (row["run_state"] in {"done", "dead"}) == (model.state in {"done", "dead"})

        def lost(self, model: Model, got: Claim, attempt: Any) -> bool:
            """Try it; was the lease lost? It must be exactly when the model says so."""
            try:
                attempt()
            except LeaseLost:
                assert not model.owned_by(got)
                return True
            assert model.owned_by(got)
            return False

        def teardown(self) -> None:
            do(ledger, "DELETE FROM jobs")
            do(ledger, "DELETE FROM training_runs")

    return LedgerMachine


@pytest.mark.timeout(300)
def test_no_order_of_events_takes_the_ledger_where_the_model_is_not(ledger: Ledger) -> None:
    few = Ledger(ledger.settings.model_copy(update={"max_attempts": ATTEMPTS}), ledger.database, ledger.doorbell)
    run_state_machine_as_test(
        machine(few),
        settings=settings(
            max_examples=30,
            stateful_step_count=20,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
