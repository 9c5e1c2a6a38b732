"""What the ledger keeps of an error, and who is charged for a batch that hangs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from workers.context import Context
from workers.executor import describe, run_batch
from workers.heartbeat import Heartbeat, JobProgress
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.states import JobKind, Lane


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_our_own_errors_keep_their_words() -> None:
    assert describe(raised(Unavailable("the bucket does not answer"))) == "Unavailable: the bucket does not answer"


def test_of_foreign_errors_only_kind_and_place_are_kept() -> None:
    said = describe(raised(ValueError("PatientName DOE^JANE is too long")))
    assert said.startswith("ValueError in raised (test_executor.py:")
    assert "DOE" not in said


def test_an_error_without_a_place_is_its_kind() -> None:
    assert describe(ValueError("DOE^JANE")) == "ValueError"


class Hanging(BaseException):
    """Ends the thread of a job that hangs, as the end of its process would."""


@dataclass
class Rounds:
    """Three jobs of a batch and a heartbeat whose clock we move; the job, or the step, ``hangs`` does not end."""

    hangs: UUID | str
    now: float = 0.0
    failed: list[UUID] = field(default_factory=list)
    released: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.claims = [Claim(uuid4(), JobKind.INGEST, uuid4(), 1, 1, Lane.ROUTINE) for _ in range(3)]
        self.heartbeat = Heartbeat(
            lambda claims: {claim.job_id for claim in claims},
            lambda claim, _: self.failed.append(claim.job_id),
            lambda claim: self.released.append(claim.job_id),
            interval=1,
            leave=self.leave,
            clock=lambda: self.now,
        )

    def leave(self, _code: int) -> None:
        raise Hanging

    def step(self, name: UUID | str) -> None:
        self.now += 1000 if name == self.hangs else 100
        self.heartbeat.beat()

    def prepare(self, _claims: Sequence[Claim]) -> dict[UUID, Any]:
        self.step("prepare")
        return {}

    def do(self, claim: Claim, _progress: JobProgress, _given: Any) -> bool:
        self.step(claim.job_id)
        return True

    def finish(self, done: Sequence[tuple[Claim, Any]]) -> set[UUID]:
        self.step("finish")
        return {claim.job_id for claim, _ in done}

    def run(self) -> None:
        settings = SimpleNamespace(stall_seconds=120.0, max_run_seconds=150.0)
        run_batch(Context(settings, None, None, self.heartbeat, "test"), self.claims, self)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_job_of_a_batch_that_hangs_is_charged_and_the_others_are_handed_back(place: int) -> None:
    rounds = Rounds("")
    hung, *others = [rounds.claims[place], *(claim for claim in rounds.claims if claim is not rounds.claims[place])]
    rounds.hangs = hung.job_id
    with pytest.raises(Hanging):
        rounds.run()
    assert rounds.failed == [hung.job_id]
    assert rounds.released == [claim.job_id for claim in others]


@pytest.mark.parametrize("step", ["prepare", "finish"])
def test_what_all_of_a_batch_do_together_may_not_hang_either(step: str) -> None:
    rounds = Rounds(step)
    with pytest.raises(Hanging):
        rounds.run()
    assert len(rounds.failed) == 1
    assert len(rounds.released) == 2


def test_a_job_of_a_batch_is_not_charged_for_the_time_of_those_before_it() -> None:
    rounds = Rounds("nothing")
    rounds.run()
    assert (rounds.failed, rounds.released) == ([], [])
