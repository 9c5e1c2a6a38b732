"""An act and the answer to it are one commit: asked for again after the gateway died, it is not done twice."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.gateway.test_audit import ACTS, Scene
from tests.support.audit_tools import acts
from tests.support.kept_answers import no_answer_kept
from tests.support.ledger_tools import one
from xraygpt_core.ledger.access.idempotency import Answer, Attempt, once
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

World = Any

# Where a second act would make another row, undo what somebody did meanwhile, or be refused for what the first did.
ONCE = [
    "POST /v1/studies/{study_id}/chat",
    "POST /v1/summaries/{summary_id}/review",
    "POST /v1/backlogs",
    "POST /v1/training-runs",
    "POST /v1/training-runs/{run_id}/pause",
    "POST /v1/training-runs/{run_id}/resume",
    "POST /v1/training-runs/{run_id}/cancel",
    "POST /v1/training-runs/{run_id}/promote",
    "POST /v1/bundles/serve",
    "POST /v1/bundles/rollback",
    "POST /v1/studies/assign",
    "POST /v1/studies/release",
    "POST /v1/studies/hasten",
    "POST /v1/studies/{study_id}/exclusion",
    "DELETE /v1/studies/{study_id}/exclusion",
    "POST /v1/studies/{study_id}/cancel",
    "DELETE /v1/keys/{key_id}",
]
# Of many transactions; done in part, they go on.
IN_STEPS = {
    "POST /v1/backlogs/{backlog_id}/{wanted}",
    "POST /v1/dead/replay",
    "POST /v1/resummarise",
    "POST /v1/studies",
}
# What finds what is there, or changes nothing; a key that was made is shown once, so its answer is not kept.
TWICE = {
    "DELETE /v1/session",
    "DELETE /v1/studies/{study_id}",
    "DELETE /v1/studies/{study_id}/reading",
    "POST /v1/comparisons",
    "POST /v1/comparisons/{comparison_id}/drafts",
    "POST /v1/events/s3",
    "POST /v1/events/sns",
    "POST /v1/images/lookup",
    "POST /v1/images/status",
    "POST /v1/keys",
    "POST /v1/keys/{key_id}/rotate",
    "POST /v1/lookup",
    "POST /v1/query",
    "POST /v1/session",
    "POST /v1/studies/counts",
    "POST /v1/studies/export",
    "POST /v1/studies/search",
    "POST /v1/training-runs/selection",
    "PUT /v1/me/preferences",
    "PUT /v1/studies/{study_id}/reading",
    "PUT /v1/uploads/{sha256}",
}
READS = {"summary read"}


class Sender:
    """Sends each operation of a scene under a key of its own, as often as is asked."""

    def __init__(self, world: World) -> None:
        self.world, self.scene = world, Scene(world)

    def send(self, operation: str) -> tuple[Any, list[str]]:
        """The answer, and the acts that it left."""
        before = len(acts(self.world.ledger))
        method, path = operation.partition(" ")[0], self.scene.path(operation)
        answer = self.world.client.request(
            method, path, headers={"Idempotency-Key": operation}, **self.scene.body(operation)
        )
        return answer, [what for what in acts(self.world.ledger)[before:] if what not in READS]


def test_every_request_that_changes_something_is_done_once_or_may_be_done_twice(shared: World) -> None:
    described = shared.client.get("/openapi.json").json()["paths"]
    takes_key = {
        f"{method.upper()} {path}": any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
        for path, methods in described.items()
        for method, operation in methods.items()
        if method != "get"
    }
    assert {operation for operation, takes in takes_key.items() if takes} == set(ONCE) | IN_STEPS
    assert {operation for operation, takes in takes_key.items() if not takes} == TWICE


def test_no_act_is_done_without_its_answer_or_done_again_by_its_repeat(world: World) -> None:
    sender = Sender(world)
    for operation in ONCE:
        with no_answer_kept(world.ledger):
            died, left = sender.send(operation)
        assert (died.status_code, left) == (503, []), operation
        first, done = sender.send(operation)
        assert first.is_success, (operation, first.text)
        assert done == [what for what in ACTS[operation] if what not in READS]
        again, repeated = sender.send(operation)
        assert (again.status_code, again.content, repeated) == (first.status_code, first.content, []), operation


def test_a_question_whose_answer_was_not_kept_is_asked_once(world: World) -> None:
    study_id, _ = world.summarised()
    ask = {"json": {"question": "Why?"}, "headers": {"Idempotency-Key": "k"}}
    with no_answer_kept(world.ledger):
        assert world.client.post(f"/v1/studies/{study_id}/chat", **ask).status_code == 503
    turns = [world.client.post(f"/v1/studies/{study_id}/chat", **ask).json()["turn_id"] for _ in range(2)]
    assert turns[0] == turns[1]
    assert one(world.ledger, "SELECT count(*) FROM chat_turns") == 1
    assert one(world.ledger, "SELECT count(*) FROM jobs WHERE kind = 'chat'") == 1


@pytest.mark.parametrize("wanted", ["pause", "resume", "cancel"])
def test_a_changed_backlog_is_no_conflict_for_who_asks_again(world: World, wanted: str) -> None:
    made = world.client.post("/v1/backlogs", json={"uri": f"s3://{world.settings.bucket}/in/"}).json()
    place = f"/v1/backlogs/{made['backlog_id']}"
    if wanted == "resume":
        world.client.post(f"{place}/pause")
    before = one(world.ledger, "SELECT state FROM backlogs")
    with no_answer_kept(world.ledger):
        assert world.client.post(f"{place}/{wanted}", headers={"Idempotency-Key": "k"}).status_code == 503
    assert one(world.ledger, "SELECT changing IS NOT NULL FROM backlogs"), f"it was ended, and it was {before}"
    answers = [world.client.post(f"{place}/{wanted}", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["state"] for answer in answers} == {
        {"pause": "paused", "resume": "listing", "cancel": "cancelled"}[wanted]
    }


def test_a_comparison_asked_for_again_goes_on_and_is_not_begun_twice(world: World) -> None:
    world.summarised()
    body = {name: {"name": name, "sha256": digit * 64} for name, digit in (("first", "1"), ("second", "2"))}
    begun = [world.client.post("/v1/comparisons", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert begun[0].json()["comparison_id"] == begun[1].json()["comparison_id"]
    assert one(world.ledger, "SELECT count(*) FROM comparisons") == 1


def test_an_act_that_was_the_victim_of_a_deadlock_is_begun_again_with_its_answer(ledger: Ledger) -> None:
    tries: list[int] = []

    def act(work: Work) -> int:
        tries.append(len(tries))
        if len(tries) == 1:
            work.run("DO $$ BEGIN RAISE EXCEPTION 'victim' USING ERRCODE = 'deadlock_detected'; END $$")
        work.run("UPDATE installation SET served_bundle = 'second try'")
        return len(tries)

    attempt = Attempt("tests", "POST /v1/x", "k", b"{}")
    for _ in range(2):
        assert once(ledger, attempt, 200, lambda joined: {"tries": repeating(joined, act)}) == {"tries": 2}
    assert len(tries) == 2
    assert one(ledger, "SELECT served_bundle FROM installation") == "second try"


def test_the_doorbell_of_an_act_rings_once_it_is_committed_with_its_answer(ledger: Ledger) -> None:
    rung: list[int] = []
    doorbell: Any = SimpleNamespace(ring=lambda rings: rung.append(len(rings)))
    counting = replace(ledger, doorbell=doorbell)

    def action(joined: Ledger) -> Answer:
        with joined.work() as work:
            work.rings.append(Ring(JobKind.CHAT, Lane.STAT))
        assert rung == []
        return {}

    once(counting, Attempt("tests", "POST /v1/x", "k", b"{}"), 200, action)
    assert rung == [1]
