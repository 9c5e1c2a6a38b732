"""A study that was assigned, or is read, before its header says where it belongs: both go with its image."""

from uuid import UUID

import pytest

from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import do, film, ingest, picture, put, rows
from xraygpt_core.ledger.access.api_keys import ApiKey, check_api_key
from xraygpt_core.ledger.lists.assign import assign
from xraygpt_core.ledger.lists.reading import claim_reading, leave_reading
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import KeyKind, Role

pytestmark = pytest.mark.usefixtures("sound")
WORDS = ("assignment came with an image", "assignment of an image ended")


@pytest.fixture
def leads(ledger: Ledger) -> list[ApiKey]:
    """Two readers who may assign to themselves whatever others have."""
    keys = (create_api_key(ledger, name, KeyKind.PERSON, (Role.READER, Role.LEAD)) for name in ("Dr. A", "Dr. B"))
    return [check_api_key(ledger, key) for key in keys]


@pytest.fixture
def two(ledger: Ledger) -> tuple[UUID, Registered]:
    """A study, and an image of it that was not read yet."""
    return ingest(ledger, put(ledger), film("u1")), put(ledger)


def assigned(ledger: Ledger) -> dict[UUID, str]:
    return {row["study_id"]: row["name"] for row in rows(ledger, "SELECT study_id, name FROM assignments")}


def claims(ledger: Ledger) -> dict[UUID, str]:
    return {row["study_id"]: row["name"] for row in rows(ledger, "SELECT study_id, name FROM reading_claims")}


def story(ledger: Ledger, study_id: UUID) -> list[tuple[str, object]]:
    """What the timeline says of assignments."""
    steps = read.timeline(ledger, study_id)
    return [(step["what"], step["detail"]) for step in steps if step["what"] in WORDS]


def test_an_assignment_follows_its_image_and_the_timeline_says_so(
    ledger: Ledger, leads: list[ApiKey], two: tuple[UUID, Registered]
) -> None:
    home, image = two
    assign(ledger, [image.study_id], leads[0], None)
    before = rows(ledger, "SELECT at, assigned_by FROM assignments")
    assert ingest(ledger, image, film("u1")) == home
    assert assigned(ledger) == {home: "Dr. A"}
    assert rows(ledger, "SELECT at, assigned_by FROM assignments") == before
    detail = {"study": str(image.study_id), "key": str(leads[0].key_id)}
    assert story(ledger, image.study_id) == [("assignment came with an image", detail)]


@pytest.mark.parametrize("home_first", [True, False])
def test_the_assignment_of_the_study_that_stays_wins_and_the_timeline_says_whose_ended(
    ledger: Ledger, leads: list[ApiKey], two: tuple[UUID, Registered], home_first: bool
) -> None:
    home, image = two
    orders = [([home], leads[1]), ([image.study_id], leads[0])]
    for studies, reader in orders if home_first else reversed(orders):
        assign(ledger, studies, reader, None)
    assert ingest(ledger, image, film("u1")) == home
    assert assigned(ledger) == {home: "Dr. B"}
    detail = {"study": str(image.study_id), "key": str(leads[0].key_id)}
    assert story(ledger, home) == [("assignment of an image ended", detail)]


def test_a_study_that_is_its_images_own_keeps_its_assignment_without_a_word(
    ledger: Ledger, leads: list[ApiKey]
) -> None:
    image = put(ledger)
    assign(ledger, [image.study_id], leads[0], None)
    assert ingest(ledger, image, picture()) == image.study_id
    assert assigned(ledger) == {image.study_id: "Dr. A"}
    assert story(ledger, image.study_id) == []


def test_a_reader_keeps_the_claim_on_the_study_that_the_image_belongs_to(
    ledger: Ledger, leads: list[ApiKey], two: tuple[UUID, Registered]
) -> None:
    home, image = two
    assert claim_reading(ledger, image.study_id, leads[0]).mine
    ingest(ledger, image, film("u1"))
    assert claims(ledger) == {home: "Dr. A"}
    assert claim_reading(ledger, image.study_id, leads[0]).mine
    assert not claim_reading(ledger, home, leads[1]).mine
    leave_reading(ledger, image.study_id, leads[0])
    assert claims(ledger) == {}


@pytest.mark.parametrize(("over", "reader"), [(False, "Dr. B"), (True, "Dr. A")])
def test_a_claim_on_the_study_that_stays_wins_while_it_lasts(
    ledger: Ledger, leads: list[ApiKey], two: tuple[UUID, Registered], over: bool, reader: str
) -> None:
    home, image = two
    claim_reading(ledger, home, leads[1])
    if over:
        do(ledger, "UPDATE reading_claims SET until = clock_timestamp() - interval '1 second'")
    claim_reading(ledger, image.study_id, leads[0])
    ingest(ledger, image, film("u1"))
    assert claims(ledger) == {home: reader}
