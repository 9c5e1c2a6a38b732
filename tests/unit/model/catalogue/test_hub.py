"""What can be wrong with a hub, its repositories and one's token: one sentence each."""

import re

import pytest

from tests.support.hub_server import GOOD_TOKEN, STRANGER
from tests.unit.model.catalogue.conftest import Fetching
from xraygpt_core.errors import BundleError


def refused(fetching: Fetching) -> str:
    with pytest.raises(BundleError) as caught:
        fetching.run()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert fetching.hub.bodies() == []
    return sentence


def test_a_gated_repository_without_a_token_says_where_to_get_one(fetching: Fetching) -> None:
    fetching.hub.repos["them/rad-dino"].gated = True
    url = fetching.hub.url
    assert refused(fetching) == (
        f"them/rad-dino is gated: accept its licence at {url}/them/rad-dino, make a token at {url}/settings/tokens, "
        "and set HF_TOKEN to it"
    )


def test_a_gated_repository_whose_licence_was_not_accepted_says_so(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching.hub.repos["them/rad-dino"].gated = True
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    assert "the account of this HF_TOKEN may not read them/rad-dino: accept its licence" in refused(fetching)


def test_a_gated_repository_opens_to_a_token_that_was_let_in(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching.hub.repos["them/rad-dino"].gated = True
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    fetching.run()
    assert fetching.weights.is_file()


def test_a_wrong_token_is_said(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mistyped")
    assert "does not take this HF_TOKEN for them/rad-dino: make a new one" in refused(fetching)


def test_a_missing_file_is_named(fetching: Fetching) -> None:
    del fetching.hub.repos["them/rad-dino"].files["config.json"]
    assert refused(fetching).startswith("them/rad-dino has no such file at revision cccc")
    assert refused(fetching).endswith("config.json")


def test_a_pattern_that_nothing_matches_is_named(fetching: Fetching) -> None:
    files = fetching.hub.repos["them/vicuna"].files
    for name in [name for name in files if name.endswith(".bin")]:
        del files[name]
    assert refused(fetching) == (
        "them/vicuna has no file model*.safetensors | pytorch_model*.bin at revision " + "d" * 40
    )


def test_a_repository_that_is_gone_is_said(fetching: Fetching) -> None:
    del fetching.hub.repos["them/rad-dino"]
    assert "has no repository them/rad-dino, or hides it from you" in refused(fetching)


def test_a_revision_that_is_gone_is_said(fetching: Fetching) -> None:
    fetching.hub.repos["them/rad-dino"].commit = "e" * 40
    assert "them/rad-dino has no revision cccc" in refused(fetching)


def test_a_repository_that_moved_is_followed_and_said(fetching: Fetching) -> None:
    fetching.hub.moved["them/rad-dino"] = "others/rad-dino-2"
    fetching.hub.repos["others/rad-dino-2"] = fetching.hub.repos.pop("them/rad-dino")
    fetching.run()
    assert fetching.said.count("them/rad-dino is called others/rad-dino-2 now; the hub leads there") == 1
    assert fetching.weights.is_file()


def test_another_file_than_the_catalogue_knows_is_refused_before_it_is_downloaded(fetching: Fetching) -> None:
    text = fetching.catalogue.read_text()
    known = 'files = { "config.json" = 0, "model.safetensors" = 0 }'
    assert known in text
    fetching.catalogue.write_text(text.replace(known, f'{known}\nsha256 = {{ "model.safetensors" = "{"a" * 64}" }}'))
    assert "them/rad-dino has another model.safetensors than the catalogue knows" in refused(fetching)


@pytest.mark.parametrize("limit", [{"Retry-After": "7"}, {"RateLimit": '"resolvers";r=0;t=7'}])
def test_a_hub_that_asks_to_wait_is_waited_for(fetching: Fetching, limit: dict[str, str]) -> None:
    fetching.hub.limits = [limit, limit]
    fetching.run()
    assert fetching.waited == [7.0, 7.0]
    assert any("takes no more requests for now: waiting 7 s" in line for line in fetching.said)
    assert fetching.weights.is_file()


def test_a_limit_in_the_middle_of_the_download_is_waited_for(fetching: Fetching) -> None:
    fetching.hub.weight_limits = [{"Retry-After": "9"}]
    fetching.run()
    assert fetching.waited == [9.0]
    assert fetching.weights.is_file()


def test_a_hub_that_asks_for_too_long_a_wait_is_not_waited_for(fetching: Fetching) -> None:
    fetching.hub.limits = [{"Retry-After": "7200"}]
    assert "takes no more requests for now: try again later, or set HF_TOKEN" in refused(fetching)
    assert fetching.waited == []


def test_a_hub_that_never_stops_asking_to_wait_is_given_up(fetching: Fetching) -> None:
    fetching.hub.limits = [{"Retry-After": "1"}] * 50
    assert "takes no more requests for now" in refused(fetching)
    assert fetching.waited == [1.0] * 4


def test_a_hub_that_is_out_of_order_is_said(fetching: Fetching) -> None:
    fetching.hub.broken = 1
    assert refused(fetching).endswith("answers 500 for them/rad-dino: try again later")


def test_no_network_is_said(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    sentence = refused(fetching)
    assert re.match(r"127\.0\.0\.1:9 does not answer \(ConnectError\): check the network, HTTPS_PROXY", sentence)


def test_offline_downloads_nothing_and_says_how_to_bring_the_files(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(fetching)
    assert fetching.hub.asked == []


def test_an_address_that_is_no_hub_is_said(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.hub_server.git_hash", lambda _: "W/not-a-hash")
    assert "states no size, commit or hash of them/rad-dino/config.json: is HF_ENDPOINT" in refused(fetching)
