"""``compare`` and ``models promote --because`` as people type them; the gateway behind them is a small one of ours."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import Result

from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.writing_backend import WritingBackend
from xraygpt.commands.comparing import conditions
from xraygpt_core.model import opening
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.scope import MadeFor, Scope

Run = Callable[..., Result]
ID = "0190f2c4-0000-7000-8000-0000000c0de5"
STUDY, IMAGE = "0190f2c4-0000-7000-8000-00000000aaaa", "0190f2c4-0000-7000-8000-00000000bbbb"
PNG = b"a film"
SHARE = {"value": 0.5, "low": 0.25, "high": 0.75}


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Bundle]:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path))
    tiny = make_tiny_bundle(tmp_path)
    scope = Scope(MadeFor.RESEARCH, "Another.")
    return [tiny, compose_bundle(tiny, tmp_path, "other", projector=None, adapter=None, scope=scope)]


def side(**more: Any) -> dict[str, Any]:
    counts = {"open": 0, "written": 3, "taken": 1, "failed": 0, "reasons": {}}
    counts["beside"] = {"lateral": 0, "prior": 0, "words": 0}
    return counts | {"tokens": 20.0, "seconds_a_text": 0.5, "texts_a_second": 4.0, "devices": ["cpu"]} | more


def figures(bundles: list[Bundle], **more: Any) -> dict[str, Any]:
    """What the gateway says of a comparison of these two."""
    scored = {"precision": SHARE, "recall": SHARE, "f1": SHARE, "swapped": {"n": 4, "f1": SHARE}}
    texts = {"words": {"value": 9.0, "low": 8.0, "high": 10.0}, "contradicting": SHARE, "findings": 1.5}
    of_effusion = {"said": 3, "precision": SHARE, "recall": None}
    one, two = ({"name": bundle.name, "sha256": bundle.sha256} for bundle in bundles)
    about = {"comparison_id": ID, "first": one, "second": two, "chosen": {}, "begun_by": "Dr. L"}
    found = {
        "comparison": about | {"begun_at": "2026-11-30T08:15:00Z", "studies": 4, "open": 0, "failed": 1},
        "bundles": {"first": side(), "second": side(failed=1, reasons={"model": 1})},
        "signed_from": {"first": 2, "second": 0, "another": 2},
        "figures": {
            "n": 4,
            "patients": 4,
            "findings": [
                {"finding": "effusion", "both": 2, "only_first": 1, "only_second": 0, "neither": 1}
                | {"kappa": 0.5, "positive_agreement": 0.8},
                {"finding": "nodule", "both": 0, "only_first": 1, "only_second": 0, "neither": 3}
                | {"kappa": 0.0, "positive_agreement": 0.0},
            ],
            "agreement": SHARE,
            "swapped": {"n": 4, "f1": SHARE},
            "texts": {"first": texts, "second": texts},
            "signed": {
                "n": 4,
                "patients": 4,
                "first": scored,
                "second": scored | {"swapped": None},
                "difference": {"value": 0.1, "low": -0.2, "high": 0.4},
                "most_frequent": {"says": [], "f1": SHARE},
                "findings": [{"finding": "effusion", "n": 2, "first": of_effusion, "second": of_effusion}],
            },
        },
    }
    return found | more


@pytest.fixture
def site(fake_gateway: Any, bundles: list[Bundle], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A gateway with one film of one study that both bundles are to write about, and backends that say a sentence."""
    digest = hashlib.sha256(PNG).hexdigest()
    film = {"study_id": STUDY, "image_id": IMAGE, "image_sha256": digest, "beside": {}}
    begun = {"comparison_id": ID, "goes_on": False, "studies": 1}
    begun["open"] = [film | {"bundle_sha256": bundle.sha256} for bundle in bundles]
    fake_gateway.ids = [ID]
    fake_gateway.answers |= {
        "POST /v1/comparisons": begun,
        f"GET /v1/studies/{STUDY}/images/{IMAGE}.png": PNG,
        f"POST /v1/comparisons/{ID}/drafts": {"kept": True},
        f"GET /v1/comparisons/{ID}": figures(bundles),
        "GET /v1/comparisons": {"comparisons": [figures(bundles)["comparison"]]},
    }
    opened: list[Any] = []

    def open_backend(bundle: Bundle, **settings: Any) -> WritingBackend:
        opened.append((bundle.name, settings, WritingBackend(lambda _: f"{bundle.name} sees nothing.")))
        return opened[-1][2]

    monkeypatch.setattr(opening, "open_backend", open_backend)
    fake_gateway.opened = opened
    yield fake_gateway
    assert all(backend.closed for _, _, backend in opened)


def kept(site: Any) -> list[Any]:
    found: list[Any] = site.bodies(f"/v1/comparisons/{ID}/drafts")
    return found


def test_each_bundle_is_loaded_once_and_its_texts_are_sent(site: Any, xraygpt: Run) -> None:
    done = xraygpt("compare", "tiny", "other", "--device", "cpu", "--batch-size", "3", "--json")
    assert (done.exit_code, json.loads(done.stdout)["comparison"]["comparison_id"]) == (0, ID)
    settings = {"device": "cpu", "batch_size": 3, "vllm_url": None, "vllm_key": None}
    assert [(name, given) for name, given, _ in site.opened] == [("tiny", settings), ("other", settings)]
    assert [one["text"] for one in kept(site)] == ["tiny sees nothing.", "other sees nothing."]
    assert all(one["seconds"] >= 0 for one in kept(site))


def test_what_is_asked_is_known_again_by_how_it_was_typed(site: Any, bundles: list[Bundle], xraygpt: Run) -> None:
    for _ in range(2):
        assert xraygpt("compare", "tiny", "other", "--where", "since=7d", "--where", "view=PA").exit_code == 0
    assert xraygpt("compare", "tiny", "other", "--where", "since=8d", "--where", "view=PA").exit_code == 0
    one, again, another = site.bodies("/v1/comparisons")
    read = {"images": ["frontal"], "clinical": False}
    assert one["first"] == {"name": "tiny", "sha256": bundles[0].sha256, **read}
    assert (one["where"]["view"], one["where"]["list"], one["limit"]) == (["PA"], "all", 50)
    assert one["where"]["received_from"] != again["where"]["received_from"]
    assert one["asked"] == again["asked"] != another["asked"]


def test_what_has_its_texts_already_is_not_loaded(site: Any, bundles: list[Bundle], xraygpt: Run) -> None:
    begun = site.answers["POST /v1/comparisons"]
    begun["open"] = [one for one in begun["open"] if one["bundle_sha256"] == bundles[1].sha256]
    begun["goes_on"] = True
    done = xraygpt("compare", "tiny", "other")
    assert [name for name, _, _ in site.opened] == ["other"]
    assert "comparison c0de5 goes on: tiny and other on 1 studies" in done.stderr


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(site: Any, xraygpt: Run) -> None:
    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    site.answers[f"GET /v1/studies/{STUDY}/images/{IMAGE}.png"] = PNG
    backend = WritingBackend(interrupted)

    def open_backend(*_: Any, **__: Any) -> WritingBackend:
        return backend

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_backend", open_backend)
        done = xraygpt("compare", "tiny", "other", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (130, {"comparison_id": ID})
    assert "the same command goes on" in done.stderr
    assert backend.closed


def test_a_table_says_what_both_are_worth_with_the_controls_beside_it(site: Any, xraygpt: Run) -> None:
    shown = xraygpt("compare", "show", "c0de5").stdout
    said = " ".join(shown.split())
    for words in (
        "comparison c0de5: tiny and other on 4 studies, begun 2026-11-30 08:15 by Dr. L",
        "1 (1 model)",
        "precision against 4 signed │ 0.50 (0.25 to 0.75) │ 0.50 (0.25 to 0.75)",
        "f1 of tiny minus that of other: 0.10 (-0.20 to 0.40)",
        "The most frequent signed text, said of every film, has f1 0.50 (0.25 to 0.75) (it names no finding).",
        "2 began as a draft of tiny and 0 of other",
        "with the other's text about another film: 0.50",
        "│ nodule │ 0 │ 1 │ 0 │ 0.00 │ 0.00 │",
        "│ effusion │ 2 │ 0.50 (0.25 to 0.75) │ │",
    ):
        assert words in said, shown


def test_without_signed_texts_it_says_that_nothing_decides(site: Any, bundles: list[Bundle], xraygpt: Run) -> None:
    found = site.answers[f"GET /v1/comparisons/{ID}"]
    nothing = {"first": None, "second": None}
    found["figures"] |= {"signed": None, "agreement": None, "findings": [], "texts": nothing}
    found["comparison"]["open"] = 3
    said = " ".join(xraygpt("compare", "show", ID).stdout.split())
    assert "nothing says which of the two is right" in said
    assert "unfinished: 3 texts are still to be written" in said


def test_texts_are_shown_where_they_are_asked_for(site: Any, xraygpt: Run) -> None:
    one = {"study_id": STUDY, "bundle": "tiny", "state": "written", "reason": None, "text": "Clear lungs."}
    other = {"study_id": STUDY, "bundle": "other", "state": "failed", "reason": "model", "text": None}
    pages = iter([{"drafts": [one, other]}, {"drafts": []}] * 2)
    site.answers[f"GET /v1/comparisons/{ID}/drafts"] = lambda _: next(pages)
    said = xraygpt("compare", "show", ID, "--texts").stdout
    assert "Clear lungs." in said
    assert "failed: model" in said
    assert "not a diagnosis" in said
    found = json.loads(xraygpt("compare", "show", ID, "--texts", "--json").stdout)
    assert found["drafts"] == [one, other]
    assert f"after={STUDY}" in site.asked[-1].path


def test_comparisons_are_listed(site: Any, xraygpt: Run) -> None:
    assert "c0de5" in xraygpt("compare", "list").stdout
    assert json.loads(xraygpt("compare", "list", "--json").stdout)["comparisons"][0]["studies"] == 4


@pytest.mark.parametrize("wrong", [("tiny",), ("tiny", "other", "third"), ("tiny", "other", "--where", "q=Jane")])
def test_wrong_usage_asks_nothing(site: Any, xraygpt: Run, wrong: tuple[str, ...]) -> None:
    assert xraygpt("compare", *wrong).exit_code == 2
    assert site.asked == []


def test_a_bundle_whose_file_changed_is_not_compared(site: Any, bundles: list[Bundle], xraygpt: Run) -> None:
    assert bundles[1].projector_weights is not None
    bundles[1].projector_weights.write_bytes(b"changed")
    assert "changed on disk" in str(xraygpt("compare", "tiny", "other").exception)
    assert site.asked == []


def test_conditions_become_the_fields_of_a_search() -> None:
    found = conditions(["finding=effusion", "finding=nodule", "lane=stat", "taken_since=2026-01-31", "reviewer=Dr. A"])
    assert found == {
        "finding": ["effusion", "nodule"],
        "lane": "stat",
        "acquired_from": "2026-01-31",
        "reviewer": "Dr. A",
    }
    assert conditions(["until=2026-01-31T08:15Z"]) == {"received_until": "2026-01-31T08:15:00+00:00"}


@pytest.mark.parametrize(
    "wrong", [["view"], ["view="], ["=PA"], ["name=Jane"], ["lane=stat", "lane=routine"], ["since=x"]]
)
def test_anything_else_is_no_condition(wrong: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        conditions(wrong)


def test_a_promotion_shows_the_comparison_that_speaks_for_it(site: Any, xraygpt: Run) -> None:
    site.answers["POST /v1/bundles/serve"] = {"bundle": "other"}
    done = xraygpt("models", "promote", "other", "--because", "c0de5")
    assert site.bodies("/v1/bundles/serve") == [{"bundle": "other", "because": ID}]
    assert "comparison c0de5: tiny and other" in done.stdout
    assert "other is served from now on" in done.stderr
    found = json.loads(xraygpt("models", "promote", "other", "--because", "c0de5", "--json").stdout)
    assert (found["bundle"], found["evidence"]["comparison"]["comparison_id"]) == ("other", ID)


def test_a_bundle_that_changed_since_is_not_promoted_because_of_it(
    site: Any, bundles: list[Bundle], xraygpt: Run
) -> None:
    found = site.answers[f"GET /v1/comparisons/{ID}"]
    found["comparison"]["second"]["sha256"] = "0" * 64
    done = xraygpt("models", "promote", "other", "--because", ID)
    assert f"other on this machine is {bundles[1].sha256[:12]}" in str(done.exception)
    assert site.bodies("/v1/bundles/serve") == []


def test_what_was_known_of_a_film_needs_its_key_on_this_machine(
    site: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path / "home"))
    for film in site.answers["POST /v1/comparisons"]["open"]:
        film["beside"] = {"request_sha256": "f" * 64}
    done = xraygpt("compare", "tiny", "other")
    assert done.exit_code == 1
    assert "2 of the texts are written with what was known of the film" in str(done.exception)
    assert kept(site) == []
