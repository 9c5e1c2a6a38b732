"""What a person types becomes an id, or one sentence that says what to type instead."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt.client import Gateway
from xraygpt.named_ids import NotNamed, handles, job_id, run_id, study_id, summary_id

WHOLE = "01a22344-2e7d-72e2-a1b2-01234a751dc6"
OTHER = "01a22344-2e7d-72e2-a1b2-0123446751dc6"


@pytest.fixture
def client(fake_gateway: Any) -> Any:
    with Gateway(fake_gateway.url, "k", patience=0.0) as found:
        yield found


@pytest.mark.parametrize("typed", [WHOLE, WHOLE.upper(), WHOLE.replace("-", ""), f" {WHOLE}\n", f"{{{WHOLE}}}"])
def test_a_whole_id_asks_nobody(fake_gateway: Any, client: Gateway, typed: str) -> None:
    assert study_id(client, typed) == WHOLE
    assert fake_gateway.asked == []


@pytest.mark.parametrize("typed", ["51dc6", "51DC6", "a1b2-01234a751dc6", WHOLE[1:]])
def test_the_end_of_an_id_is_enough(fake_gateway: Any, client: Gateway, typed: str) -> None:
    fake_gateway.ids = [WHOLE]
    assert study_id(client, typed) == WHOLE
    assert fake_gateway.asked[0].path.startswith("/v1/handles/study/")


def test_what_ends_alike_is_shown_with_the_digits_that_tell_it_apart(
    fake_gateway: Any, client: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_gateway.ids = [WHOLE, OTHER]
    with pytest.raises(NotNamed, match=r"2 studies have an id that ends in 51dc6: give more digits, such as a751dc6"):
        study_id(client, "51dc6")
    assert capsys.readouterr().err.splitlines() == [
        "  a751dc6  summarised  2026-11-21 08:15",
        "  6751dc6  summarised  2026-11-21 08:15",
    ]
    assert study_id(client, "a751dc6") == WHOLE


def test_an_id_nobody_has_is_said_with_the_next_step(client: Gateway) -> None:
    with pytest.raises(NotNamed, match="no study has an id that ends in 51dc6: `xraygpt find` leads to it"):
        study_id(client, "51dc6")
    with pytest.raises(NotNamed, match="no dead job has an id that ends in 51dc6: `xraygpt dead list`"):
        job_id(client, "51dc6")


def test_the_handle_of_a_study_leads_to_its_current_summary(fake_gateway: Any, client: Gateway) -> None:
    fake_gateway.ids = [WHOLE]
    fake_gateway.answers["GET /v1/handles/summary/51dc6"] = {"candidates": []}
    study = fake_gateway.answers[f"GET /v1/studies/{WHOLE}"] = {"summary": {"summary_id": OTHER}}
    assert summary_id(client, "51dc6") == OTHER
    study["summary"] = None
    with pytest.raises(NotNamed, match="no summary has an id that ends in 51dc6: `xraygpt summary STUDY` shows it"):
        summary_id(client, "51dc6")


@pytest.mark.parametrize("typed", ["", "nope", "nih-282.jpg", "../../etc", "51dc6?x=1", "٥٥٥٥٥", "f" * 33, f"{WHOLE}0"])
def test_what_is_no_id_asks_nobody(fake_gateway: Any, client: Gateway, typed: str) -> None:
    with pytest.raises(NotNamed, match="is no id of a run: give all of it, or its last 5 or more digits"):
        run_id(client, typed)
    assert fake_gateway.asked == []


def test_too_few_digits_are_said(client: Gateway) -> None:
    with pytest.raises(NotNamed, match="'1dc6' is too short for the id of a study: give its last 5 digits or more"):
        study_id(client, "1dc6")


@given(st.sets(st.uuids(), max_size=30).map(lambda ids: [str(one) for one in ids]))
def test_handles_are_the_shortest_ends_that_tell_the_shown_apart(ids: list[str]) -> None:
    found = handles(ids)
    assert len(set(found.values())) == len(ids)
    assert all(one.replace("-", "").endswith(tail) for one, tail in found.items())
    lengths = {len(tail) for tail in found.values()}
    assert len(lengths) <= 1
    if lengths and (length := lengths.pop()) > 5:
        assert len({one.replace("-", "")[1 - length :] for one in ids}) < len(ids)


def test_handles_grow_where_two_end_alike() -> None:
    assert handles([WHOLE, OTHER, WHOLE]) == {WHOLE: "a751dc6", OTHER: "6751dc6"}
    assert handles([]) == {}
