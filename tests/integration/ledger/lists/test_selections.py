"""Whose a study is and who reads it: soft words that two may say at once, and that a purge takes along."""

from collections.abc import Callable
from uuid import UUID

import pytest

from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import do, film, ingest, no_errors, one, put, rows, settle_now, summarise, together
from tests.support.review_tools import ACCEPTED, TAKEN_BACK, UNDO, say
from xraygpt_core.errors import Forbidden, NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.access.api_keys import ApiKey, check_api_key
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.lists.assign import Reader, assign, readers, release
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.hasten import hasten
from xraygpt_core.ledger.lists.orders import WorklistView
from xraygpt_core.ledger.lists.reading import claim_reading, leave_reading
from xraygpt_core.ledger.lists.worklist import worklist
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.review import Signer, Verdict
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import KeyKind, Lane, ReviewState, Role

Person = Callable[..., ApiKey]


@pytest.fixture
def person(ledger: Ledger) -> Person:
    def made(name: str, *roles: Role) -> ApiKey:
        key = create_api_key(ledger, name, KeyKind.PERSON, roles or (Role.READER,))
        return check_api_key(ledger, key)

    return made


def study(ledger: Ledger, name: str = "a", lane: Lane = Lane.ROUTINE) -> UUID:
    study_id = ingest(ledger, put(ledger, f"{name}.dcm", lane=lane), film(name))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    return study_id


def row(ledger: Ledger, study_id: UUID) -> dict[str, object]:
    return next(
        vars(found) for found in worklist(ledger, WorklistView.ALL, limit=50).rows if found.study_id == study_id
    )


def test_a_claim_stands_until_its_reader_leaves_and_tells_others(ledger: Ledger, person: Person) -> None:
    study_id, first, second = study(ledger), person("Dr. A"), person("Dr. B")
    assert claim_reading(ledger, study_id, first).mine
    told = claim_reading(ledger, study_id, second)
    assert (told.name, told.mine) == ("Dr. A", False)
    assert row(ledger, study_id)["read_by"] == "Dr. A"
    leave_reading(ledger, study_id, second)  # another's claim stays
    assert row(ledger, study_id)["read_by"] == "Dr. A"
    leave_reading(ledger, study_id, first)
    assert row(ledger, study_id)["read_by"] is None
    assert claim_reading(ledger, study_id, second).mine


def test_a_claim_that_nobody_renews_is_over_and_one_that_is_renewed_stands(ledger: Ledger, person: Person) -> None:
    study_id, first, second = study(ledger), person("Dr. A"), person("Dr. B")
    until = claim_reading(ledger, study_id, first).until
    assert claim_reading(ledger, study_id, first).until > until
    do(ledger, "UPDATE reading_claims SET until = clock_timestamp() - interval '1 second'")
    assert row(ledger, study_id)["read_by"] is None
    assert claim_reading(ledger, study_id, second).mine
    assert not claim_reading(ledger, study_id, first).mine


def test_claims_that_were_forgotten_go_with_those_that_come(ledger: Ledger, person: Person) -> None:
    reader = person("Dr. A")
    for name in "abc":
        claim_reading(ledger, study(ledger, name), reader)
    do(ledger, "UPDATE reading_claims SET until = clock_timestamp() - interval '2 hours'")
    claim_reading(ledger, study(ledger, "d"), reader)
    assert one(ledger, "SELECT count(*) FROM reading_claims") == 1


def test_of_many_who_open_a_study_at_once_one_has_it(ledger: Ledger, person: Person) -> None:
    study_id, people = study(ledger), [person(f"Dr. {n}") for n in range(4)]
    found = no_errors(together(*[lambda who=who: claim_reading(ledger, study_id, who) for who in people]))
    assert sum(reading.mine for reading in found) == 1
    assert len({reading.name for reading in found}) == 1


def test_to_open_and_to_leave_are_acts_and_to_renew_is_none(ledger: Ledger, person: Person) -> None:
    study_id, reader = study(ledger), person("Dr. A")
    acting = ledger.acting(Actor(reader.name, reader.key_id))
    for _ in range(3):
        claim_reading(acting, study_id, reader)
    leave_reading(acting, study_id, reader)
    leave_reading(acting, study_id, reader)
    assert [act["what"] for act in rows(ledger, "SELECT what FROM audit ORDER BY id")] == [
        "reading begun",
        "reading ended",
    ]


def test_a_lead_assigns_and_takes_away_and_a_reader_takes_what_is_nobodys(ledger: Ledger, person: Person) -> None:
    studies = [study(ledger, name) for name in "ab"]
    lead, reader, other = person("Dr. L", Role.LEAD), person("Dr. R"), person("Dr. O")
    assert [one.refused for one in assign(ledger, studies[:1], lead, reader.key_id)] == [None]
    assert row(ledger, studies[0])["assigned_to"] == "Dr. R"
    found = assign(ledger, [*studies, new_id()], other, None)
    assert [one.refused for one in found] == ["it is assigned to Dr. R", None, "there is no such study"]
    assert [one.before and one.before.name for one in found] == ["Dr. R", None, None]
    with pytest.raises(Forbidden, match="lead"):
        assign(ledger, studies, reader, other.key_id)
    mine = worklist(ledger, WorklistView.ALL, limit=5, filters=Filters(mine=Reader(other.key_id, "Dr. O"))).rows
    assert [found.study_id for found in mine] == [studies[1]]
    assert [one.refused for one in release(ledger, studies, reader)] == [None, "it is assigned to Dr. O"]
    assert [one.refused for one in release(ledger, studies, lead)] == [None, None]
    assert one(ledger, "SELECT count(*) FROM assignments") == 0


def mine(ledger: Ledger, who: ApiKey) -> list[UUID]:
    found = worklist(ledger, WorklistView.ALL, limit=5, filters=Filters(mine=Reader(who.key_id, who.name)))
    return [one.study_id for one in found.rows]


def test_a_signature_that_another_took_back_is_its_signers_to_look_at_until_they_act(
    ledger: Ledger, person: Person
) -> None:
    study_id, _ = study(ledger), study(ledger, "b")
    lead, signer, other = person("Dr. Lead", Role.LEAD), person("Dr. S"), person("Dr. O")
    summary_id = one(ledger, "SELECT id FROM summaries WHERE study_id = :id", id=study_id)
    say(ledger, summary_id, Signer(signer), ACCEPTED)
    assert mine(ledger, signer) == []
    say(ledger, summary_id, Signer(lead), Verdict(ReviewState.DRAFT, reason="the other side"))
    assert [mine(ledger, who) for who in (signer, lead, other)] == [[study_id], [], []]
    found = row(ledger, study_id)
    assert (found["withdrawn_by"], found["withdrawn_keys"]) == ("Dr. Lead", [signer.key_id])
    say(ledger, summary_id, Signer(lead), UNDO)
    assert (mine(ledger, signer), row(ledger, study_id)["withdrawn_by"]) == ([], None)
    say(ledger, summary_id, Signer(lead), Verdict(ReviewState.DRAFT, reason="the other side"))
    say(ledger, summary_id, Signer(signer), ACCEPTED)
    assert (mine(ledger, signer), row(ledger, study_id)["withdrawn_by"]) == ([], None)
    say(ledger, summary_id, Signer(signer), TAKEN_BACK)
    assert [mine(ledger, who) for who in (signer, lead)] == [[], []]
    assert row(ledger, study_id)["withdrawn_keys"] == []


def test_studies_go_only_to_people_who_read_films(ledger: Ledger, person: Person) -> None:
    lead = person("Dr. L", Role.LEAD)
    operator = person("Operator", Role.OPERATOR)
    person("Dr. A")
    create_api_key(ledger, "a program", KeyKind.PROGRAM, (Role.READER,))
    assert [found.name for found in readers(ledger)] == ["Dr. A", "Dr. L"]
    study_id = study(ledger)
    for key in (operator.key_id, new_id()):
        with pytest.raises(NotFound):
            assign(ledger, [study_id], lead, key)


def test_two_leads_who_assign_the_same_studies_at_once_wait_for_each_other(ledger: Ledger, person: Person) -> None:
    studies = [study(ledger, name) for name in "abc"]
    leads = [person(f"Dr. {n}", Role.LEAD) for n in range(3)]
    acts = [
        lambda lead=lead, ids=ids: assign(ledger, ids, lead, None) for lead in leads for ids in (studies, studies[::-1])
    ]
    no_errors(together(*acts))
    assert one(ledger, "SELECT count(DISTINCT name) FROM assignments") == 1


def test_a_purge_takes_claim_and_assignment_along(ledger: Ledger, person: Person) -> None:
    study_id, reader = study(ledger), person("Dr. A")
    claim_reading(ledger, study_id, reader)
    assign(ledger, [study_id], reader, None)
    purge_study(ledger, study_id, lambda key: None)
    assert one(ledger, "SELECT count(*) FROM reading_claims") == one(ledger, "SELECT count(*) FROM assignments") == 0
    assert [found.refused for found in assign(ledger, [study_id], reader, None)] == ["there is no such study"]
    with pytest.raises(NotFound):
        claim_reading(ledger, study_id, reader)


def test_a_study_that_is_hastened_takes_its_work_and_its_draft_along_and_none_falls_back(ledger: Ledger) -> None:
    done, waiting, urgent = study(ledger, "a"), put(ledger, "w.dcm").study_id, study(ledger, "u", Lane.STAT)
    found = hasten(ledger, [done, waiting, urgent, new_id()], Lane.STAT)
    assert [one.refused for one in found] == [None, None, "it is in the lane stat already", "there is no such study"]
    assert [found.lane for found in worklist(ledger, WorklistView.AWAITING, limit=5).rows] == ["stat", "stat"]
    assert rows(ledger, "SELECT lane_rank FROM jobs WHERE state = 'queued' AND kind = 'ingest'") == [{"lane_rank": 0}]
    assert hasten(ledger, [done], Lane.ROUTINE)[0].refused == "it is in the lane stat already"
