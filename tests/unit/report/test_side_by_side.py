"""Two models beside each other: counts by hand, and intervals that are those of the scores."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraygpt_core.report.scores import Interval, bootstrap_f1, bootstrap_prf, micro_f1
from xraygpt_core.report.side_by_side import Case, Reading, against_signed, names_of, side_by_side
from xraygpt_core.report.text_labels import Named

TEXTS = {
    "effusion": "There is a left pleural effusion.",
    "nodule": "There is a nodule in the right upper lobe.",
    "": "No acute disease.",
}


def reading(*names: str, words: int = 5, contradictions: int = 0) -> Reading:
    return Reading(frozenset(names), words, contradictions)


def case(
    patient: str, first: tuple[str, ...], second: tuple[str, ...], signed: str | None = None, view: str = "PA"
) -> Case:
    return Case(patient, view, reading(*first), reading(*second), None if signed is None else TEXTS[signed])


TEN = [
    *(case(f"a{n}", ("effusion",), ("effusion",)) for n in range(4)),
    case("b", ("effusion",), ()),
    *(case(f"c{n}", (), ("effusion",)) for n in range(2)),
    *(case(f"d{n}", (), ()) for n in range(3)),
]


def test_each_finding_is_counted_and_its_agreement_is_that_beyond_chance() -> None:
    (found,) = side_by_side(TEN)["findings"]
    assert [found[name] for name in ("finding", "both", "only_first", "only_second", "neither")] == [
        "effusion",
        4,
        1,
        2,
        3,
    ]
    # alike 0.7; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    assert found["kappa"] == pytest.approx(0.4)
    assert found["positive_agreement"] == pytest.approx(8 / 11)


def test_a_finding_that_both_name_of_every_film_has_no_kappa() -> None:
    (found,) = side_by_side([case("a", ("device",), ("device",)), case("b", ("device",), ("device",))])["findings"]
    assert (found["kappa"], found["positive_agreement"]) == (None, 1.0)


def test_words_and_contradictions_are_those_of_each() -> None:
    one, two = reading(words=10, contradictions=2), reading(words=20)
    texts = side_by_side([Case("a", None, one, two), Case("b", None, reading(words=12), two)])["texts"]
    assert (texts["first"]["words"]["value"], texts["second"]["words"]["value"]) == (11.0, 20.0)
    assert (texts["first"]["contradicting"]["value"], texts["second"]["contradicting"]["value"]) == (0.5, 0.0)
    assert texts["second"]["contradicting"]["high"] > 0.5  # two texts prove little


@pytest.mark.parametrize(
    ("asserted", "uncertain", "says"),
    [(("mass",), (), {"mass"}), (("mass",), ("nodule",), {"mass"}), ((), ("nodule",), set()), ((), (), {"normal"})],
)
def test_a_text_that_names_nothing_says_normal_and_a_doubt_says_nothing(
    asserted: tuple[str, ...], uncertain: tuple[str, ...], says: set[str]
) -> None:
    assert names_of(Named(asserted, uncertain)) == says


def test_normal_is_compared_like_a_finding_and_counted_as_none() -> None:
    found = side_by_side([case("a", ("normal",), ("effusion",)), case("b", ("normal",), ("normal",))])
    normal, effusion = found["findings"]
    assert (normal["finding"], normal["both"], normal["only_first"]) == ("normal", 1, 1)
    assert effusion["only_second"] == 1
    assert (found["texts"]["first"]["findings"], found["texts"]["second"]["findings"]) == (0.0, 0.5)


def test_without_a_case_nothing_is_said() -> None:
    found = side_by_side([])
    assert (found["n"], found["findings"], found["agreement"], found["signed"]) == (0, [], None, None)
    assert found["texts"] == {"first": None, "second": None}


def test_one_patients_films_have_no_interval() -> None:
    found = side_by_side([case("a", ("effusion",), ("effusion",), "effusion")] * 3)
    assert (found["n"], found["agreement"], found["swapped"], found["signed"]) == (3, None, None, None)


def test_a_model_that_looks_beats_the_same_texts_beside_other_films() -> None:
    kinds = ["effusion", "nodule", ""] * 6
    cases = [case(str(n), (kind or "normal",), ("effusion",), kind) for n, kind in enumerate(kinds)]
    found: Any = against_signed(cases)
    assert found["first"]["f1"]["value"] == 1.0
    assert found["first"]["swapped"]["f1"]["high"] < 1.0
    assert found["second"]["precision"]["value"] == pytest.approx(1 / 3)
    assert found["difference"]["low"] > 0


def test_the_most_frequent_text_is_the_best_that_one_text_can_do_of_its_kind() -> None:
    cases = [case(str(n), (), (), kind) for n, kind in enumerate(["effusion", "effusion", "nodule"])]
    found: Any = against_signed(cases)
    assert (found["most_frequent"]["says"], found["most_frequent"]["f1"]["value"]) == (
        ["effusion"],
        pytest.approx(2 / 3),
    )


def test_each_finding_has_the_precision_and_recall_of_both() -> None:
    cases = [case("a", ("effusion",), (), "effusion"), case("b", ("effusion",), (), "nodule")]
    found: Any = against_signed(cases)
    effusion = next(one for one in found["findings"] if one["finding"] == "effusion")
    assert (effusion["n"], effusion["first"]["said"]) == (1, 2)
    assert (effusion["first"]["precision"]["value"], effusion["first"]["recall"]["value"]) == (0.5, 1.0)
    assert (effusion["second"]["precision"], effusion["second"]["recall"]["value"]) == (None, 0.0)


def test_films_of_another_view_are_no_swap() -> None:
    cases = [case("a", ("effusion",), (), "effusion", "PA"), case("b", (), (), "", "AP")]
    found: Any = against_signed(cases)
    assert found["first"]["swapped"] is None


SETS = st.frozensets(st.sampled_from(["effusion", "nodule", "mass"]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(SETS, SETS), min_size=1, max_size=12))
def test_resampled_precision_recall_and_f1_have_the_values_of_the_whole(pairs: list[tuple[Any, Any]]) -> None:
    found = bootstrap_prf(pairs, rounds=50)
    whole = micro_f1(pairs)
    assert {name: one.value for name, one in found.items()} == whole._asdict()
    assert all(0.0 <= one.low <= one.high <= 1.0 for one in found.values())
    assert found["f1"] == bootstrap_f1(pairs, rounds=50)


def test_every_draw_of_equal_reports_has_their_precision_and_recall() -> None:
    pairs = [(frozenset("ab"), frozenset("a"))] * 5
    found = bootstrap_prf(pairs)
    assert found["precision"] == Interval(0.5, 0.5, 0.5)
    assert found["recall"] == Interval(1.0, 1.0, 1.0)


def test_draws_in_which_neither_names_anything_agree() -> None:
    found = bootstrap_prf([(frozenset(), frozenset())] * 3)
    assert set(found.values()) == {Interval(1.0, 1.0, 1.0)}
