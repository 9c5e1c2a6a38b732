"""Files of a hub, brought whole: stopped and gone on with, held against their hashes, and nothing twice."""

from pathlib import Path

import pytest

from tests.support.hub_server import GOOD_TOKEN, sha256
from tests.support.small_catalogue import COMMIT
from tests.unit.model.catalogue.conftest import Fetching
from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.answers import Remote
from xraygpt_core.model.catalogue.transfer import transfer
from xraygpt_core.model.importing.hashes import stated_hash


def blob(fetching: Fetching) -> bytes:
    return fetching.hub.repos["them/rad-dino"].files["model.safetensors"]


def test_every_wanted_file_arrives_with_a_note_of_its_hash(fetching: Fetching) -> None:
    fetching.run()
    assert fetching.weights.read_bytes() == blob(fetching)
    assert stated_hash(fetching.weights) == sha256(blob(fetching))
    note = fetching.folder / "rad-dino/.cache/huggingface/download/model.safetensors.metadata"
    assert note.read_text().splitlines()[0] == COMMIT
    assert not (fetching.folder / "rad-dino" / "preprocessor_config.json").exists()
    assert {path.name for path in (fetching.folder / "vicuna").glob("*.bin")} == {
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
    }
    assert fetching.halves == []


def test_progress_ends_with_all_bytes(fetching: Fetching) -> None:
    fetching.run()
    done, total = fetching.seen[-1]
    assert done == total == sum(path.stat().st_size for path in fetching.folder.glob("*/*") if path.is_file())
    assert [have for have, _ in fetching.seen] == sorted(have for have, _ in fetching.seen)


def test_nothing_is_brought_twice(fetching: Fetching) -> None:
    fetching.run()
    before = len(fetching.hub.bodies())
    fetching.run()
    assert len(fetching.hub.bodies()) == before


def test_a_body_that_ends_early_is_gone_on_with(fetching: Fetching) -> None:
    fetching.hub.cut = [1000, 500]
    fetching.run()
    assert fetching.weights.read_bytes() == blob(fetching)
    asked = [one.headers.get("range") for one in fetching.hub.bodies()[:3]]
    assert asked == [None, "bytes=1000-", "bytes=1500-"]


def test_a_half_file_from_before_is_gone_on_with(fetching: Fetching) -> None:
    fetching.half.write_bytes(blob(fetching)[:5000])
    fetching.run()
    assert fetching.hub.bodies()[0].headers["range"] == "bytes=5000-"
    assert fetching.weights.read_bytes() == blob(fetching)


def test_a_half_file_of_other_bytes_is_thrown_away_and_said(fetching: Fetching) -> None:
    fetching.half.write_bytes(bytes(5000))
    with pytest.raises(BundleError, match="not what was promised, and was thrown away"):
        fetching.run()
    fetching.run()
    assert fetching.weights.read_bytes() == blob(fetching)


def test_a_half_file_longer_than_the_whole_is_begun_anew(fetching: Fetching) -> None:
    fetching.half.write_bytes(blob(fetching) + b"more")
    fetching.run()
    assert fetching.weights.read_bytes() == blob(fetching)


def test_a_server_without_ranges_sends_it_from_the_start(fetching: Fetching) -> None:
    fetching.hub.cut = [1000]
    fetching.hub.ranges = False
    fetching.run()
    assert fetching.weights.read_bytes() == blob(fetching)


def test_other_bytes_than_promised_are_refused(fetching: Fetching) -> None:
    fetching.hub.lies[sha256(blob(fetching))] = bytes(len(blob(fetching)))
    with pytest.raises(BundleError, match=r"model\.safetensors from .* is not what was promised"):
        fetching.run()
    assert not fetching.weights.exists()
    assert fetching.halves == []


def test_a_host_that_always_breaks_off_is_said_and_what_came_is_kept(fetching: Fetching) -> None:
    fetching.hub.cut = [1000, *[0] * 20]
    with pytest.raises(BundleError, match="what was downloaded is kept, and the same command goes on from there"):
        fetching.run()
    (half,) = fetching.halves
    assert half.stat().st_size == 1000
    assert fetching.waited == [1.0, 1.0, 2.0, 4.0, 8.0]


def test_a_host_that_is_out_of_order_for_a_moment_is_asked_again(fetching: Fetching) -> None:
    fetching.run()
    fetching.weights.unlink()
    part = fetching.half
    fetching.hub.broken = 2
    digest = sha256(blob(fetching))
    remote = Remote(f"{fetching.hub.url}/cdn/{digest}", len(blob(fetching)), digest)
    transfer(remote, part, fetching.weights, lambda _: None, fetching.waited.append)
    assert fetching.weights.read_bytes() == blob(fetching)
    assert fetching.waited == [1.0, 2.0]


def test_a_full_disk_is_said_and_what_came_is_kept(fetching: Fetching) -> None:
    fetching.half.symlink_to("/dev/full")
    with pytest.raises(BundleError, match=r"the disk of .*rad-dino is full: make room"):
        fetching.run()


def test_a_disk_that_is_too_small_is_said_before_anything_is_downloaded(fetching: Fetching) -> None:
    fetching.hub.promised["model.safetensors"] = 10**16
    with pytest.raises(
        BundleError, match=r"base takes 10000000\.0 GB to download .* free: make room, or set XRAYGPT_MODELS"
    ):
        fetching.run()
    assert fetching.hub.bodies() == []


def test_the_key_goes_to_the_hub_and_to_no_other_host(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    fetching.run()
    resolves = [one for one in fetching.hub.asked if "/resolve/" in one.path]
    assert {one.headers.get("authorization") for one in resolves} == {f"Bearer {GOOD_TOKEN}"}
    assert all("authorization" not in one.headers for one in fetching.hub.bodies())


def test_what_another_tool_downloaded_already_is_taken_from_its_cache(fetching: Fetching, tmp_path: Path) -> None:
    cached = tmp_path / "hub/models--them--rad-dino/blobs" / sha256(blob(fetching))
    cached.parent.mkdir(parents=True)
    cached.write_bytes(blob(fetching))
    fetching.run()
    assert fetching.weights.samefile(cached)
    assert all(not one.path.endswith(cached.name) for one in fetching.hub.bodies())


def test_what_is_damaged_in_that_cache_is_downloaded(fetching: Fetching, tmp_path: Path) -> None:
    cached = tmp_path / "hub/models--them--rad-dino/blobs" / sha256(blob(fetching))
    cached.parent.mkdir(parents=True)
    cached.write_bytes(bytes(len(blob(fetching))))
    fetching.run()
    assert fetching.weights.read_bytes() == blob(fetching)


def test_two_commands_do_not_fetch_the_same_model_at_once(fetching: Fetching) -> None:
    import fcntl

    fetching.folder.mkdir()
    with (fetching.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BundleError, match="another command fetches base just now"):
            fetching.run()
    fetching.run()


def test_a_file_on_no_hub_comes_from_its_own_address_without_the_token(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    digest = sha256(blob(fetching))
    address = f'urls = {{ "model.safetensors" = "{fetching.hub.url}/cdn/{digest}" }}'
    known = 'files = { "config.json" = 0, "model.safetensors" = 0 }'
    now = known.replace('safetensors" = 0', f'safetensors" = {len(blob(fetching))}')
    text = fetching.catalogue.read_text()
    assert known in text
    hashes = f'sha256 = {{ "model.safetensors" = "{digest}" }}'
    fetching.catalogue.write_text(text.replace(known, f"{now}\n{address}\n{hashes}"))
    fetching.run()
    assert fetching.weights.read_bytes() == blob(fetching)
    (asked,) = [one for one in fetching.hub.asked if one.path.endswith(digest)]
    assert "authorization" not in asked.headers
