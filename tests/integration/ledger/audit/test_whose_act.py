"""The timeline and the audit say whose act it was, and no key's name is taken for a part of the system."""

from dataclasses import replace

import pytest

from tests.support.audit_tools import WHO, kept
from tests.support.ledger_tools import begun, image_state, put, rows, take, together, whole_study
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")


@pytest.fixture
def person(ledger: Ledger) -> Ledger:
    return ledger.acting(replace(WHO, key_id=new_id()))


def test_who_cancels_is_named_with_the_key(ledger: Ledger, person: Ledger) -> None:
    study_id = put(ledger).study_id
    cancel_study(person, study_id)
    step = read.timeline(ledger, study_id)[-1]
    assert (step["what"], step["who"]) == ("cancelled", "Dr. R")
    assert person.actor is not None
    assert step["detail"] == {"key": str(person.actor.key_id)}


def test_who_purges_is_named_and_so_is_retention(ledger: Ledger, person: Ledger) -> None:
    studies = [whole_study(ledger)[1] for _ in range(2)]
    for acting, study_id in zip((person, ledger.acting(Actor("retention"))), studies, strict=True):
        purge_study(acting, study_id, lambda _: None)
    assert [read.timeline(ledger, study_id)[-1]["who"] for study_id in studies] == ["Dr. R", "retention"]
    assert [(row["what"], row["actor"]) for row in kept(ledger)] == [
        ("study purged", "Dr. R"),
        ("study purged", "retention"),
    ]


def test_who_replays_is_named_on_the_studys_timeline(ledger: Ledger, person: Ledger) -> None:
    registered = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, registered.image_id), "as the test says", retry=False)
    assert replay_dead(person) == 1
    step = read.timeline(ledger, registered.study_id)[-1]
    assert (step["what"], step["who"]) == ("ingest replayed", "Dr. R")
    assert [(row["what"], row["detail"]) for row in kept(ledger)] == [("jobs replayed", {"jobs": 1})]


@pytest.mark.parametrize("name", ["backlog", "ledger", "control"])
def test_a_key_called_like_a_part_of_the_system_is_a_persons_all_the_same(ledger: Ledger, name: str) -> None:
    backlog_id, (image,) = begun(ledger, 1)
    cancel_study(ledger.acting(Actor(name, key_id=new_id())), image.study_id)
    change_backlog(ledger, backlog_id, "cancel")
    change_backlog(ledger, backlog_id, "resume")
    assert image_state(ledger, image.image_id) == ("cancelled", None)


def test_submissions_that_share_a_transaction_are_each_their_senders(ledger: Ledger) -> None:
    senders = [ledger.acting(Actor(f"sender {number}", key_id=new_id())) for number in range(6)]

    def submit(number: int) -> None:
        ref = ObjectRef("source", f"shared/{number}", "e")
        register_objects(senders[number], [ref], Lane.ROUTINE, actor="gateway")

    together(*[lambda number=number: submit(number) for number in range(6)])
    found = {row["actor"]: row["studies"] for row in kept(ledger)}
    homes = rows(ledger, "SELECT k.key, i.study_id FROM object_keys k JOIN images i ON i.id = k.image_id ORDER BY key")
    assert found == {f"sender {number}": [home["study_id"]] for number, home in enumerate(homes)}


def test_what_a_bucket_announces_together_is_one_act_of_each_sender(ledger: Ledger) -> None:
    hooks = [ledger.acting(Actor("webhook", address=f"10.0.0.{number % 2}")) for number in range(8)]

    def announce(number: int) -> None:
        ref = ObjectRef("source", f"announced/{number}", "e")
        register_objects(hooks[number], [ref], Lane.ROUTINE, actor="event")

    together(*[lambda number=number: announce(number) for number in range(8)])
    found = kept(ledger)
    assert {(row["what"], row["actor"]) for row in found} == {("images announced", "webhook")}
    assert sum(row["detail"]["images"] for row in found) == 8
    for number in range(2):
        told = [study for row in found if row["address"] == f"10.0.0.{number}" for study in row["studies"]]
        assert len(set(told)) == 4
