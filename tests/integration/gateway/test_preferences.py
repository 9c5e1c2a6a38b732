"""Language and colours follow a person from browser to browser."""

from typing import Any

import pytest

from tests.support.api_keys import create_api_key
from xraygpt_core.ledger.transaction import Ledger

World = Any


def headers(ledger: Ledger, name: str) -> dict[str, str]:
    return {"X-API-Key": create_api_key(ledger, name)}


def session(world: World, headers: dict[str, str]) -> Any:
    answer = world.stranger.post("/v1/session", headers=headers)
    world.stranger.cookies.clear()
    return answer.json()


def test_who_chose_nothing_has_what_the_browser_has(world: World) -> None:
    chosen = session(world, headers(world.ledger, "Dr. A"))["preferences"]
    assert chosen == {"language": None, "theme": None}


def test_a_choice_is_there_at_the_next_sign_in_and_is_that_person_s_alone(world: World) -> None:
    first, second = headers(world.ledger, "Dr. A"), headers(world.ledger, "Dr. B")
    wanted = {"language": "de", "theme": "light"}
    assert world.stranger.put("/v1/me/preferences", json=wanted, headers=first).status_code == 204
    assert session(world, first)["preferences"] == wanted
    assert session(world, second)["preferences"] == {"language": None, "theme": None}


def test_a_choice_takes_the_place_of_the_one_before(world: World) -> None:
    key = headers(world.ledger, "Dr. A")
    for wanted in ({"language": "fr", "theme": "dark"}, {"theme": "light"}):
        world.stranger.put("/v1/me/preferences", json=wanted, headers=key)
    assert session(world, key)["preferences"] == {"language": None, "theme": "light"}


@pytest.mark.parametrize("wanted", [{"language": "tlh"}, {"theme": "pink"}, {"colour": "dark"}, {"language": "../de"}])
def test_what_we_do_not_have_cannot_be_chosen(world: World, wanted: dict[str, str]) -> None:
    answer = world.stranger.put("/v1/me/preferences", json=wanted, headers=headers(world.ledger, "Dr. A"))
    assert answer.status_code == 422


def test_a_choice_that_this_version_does_not_know_counts_as_none(world: World) -> None:
    key = headers(world.ledger, "Dr. A")
    with world.ledger.work() as work:
        work.run("INSERT INTO preferences (person, language, theme) VALUES ('Dr. A', 'eo', 'sepia')", {})
    assert session(world, key)["preferences"] == {"language": None, "theme": None}


def test_a_stranger_chooses_nothing(world: World) -> None:
    assert world.stranger.put("/v1/me/preferences", json={"theme": "dark"}).status_code == 401
