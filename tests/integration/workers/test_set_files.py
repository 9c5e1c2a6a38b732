"""A set's files, in the hospital's bucket or in a folder: what is read, what is not, and what has changed since."""

from pathlib import Path

import pytest

from tests.support.worker_bench import Bench
from workers.run_inputs import local_inputs
from workers.set_files import BucketFiles, SharedFolder, files_of, read_place
from xraygpt_core.errors import ObjectMissing, ObjectReplaced, Rejected, TrainingError
from xraygpt_core.training.datasets.files import LeadsOut
from xraygpt_core.training.mixture import SetSpec


def nothing() -> None:
    """No heartbeat."""


def in_bucket(bench: Bench, prefix: str = "sets/") -> BucketFiles:
    return BucketFiles(bench.store, prefix, 1000, nothing)


def test_objects_are_opened_listed_and_found_below_their_prefix(bench: Bench) -> None:
    for key in ("sets/b.png", "sets/a/c.png", "other/d.png"):
        bench.upload(key, key.encode())
    files = in_bucket(bench)
    assert list(files.list("")) == ["a/c.png", "b.png"]
    assert list(files.list("a")) == ["a/c.png"]
    assert files.open("a/c.png").read() == b"sets/a/c.png"
    assert [files.exists(address) for address in ("b.png", "d.png", "a/c.png")] == [True, False, True]
    assert files.place("b.png") == f"s3://{bench.settings.bucket}/sets/b.png"
    assert files.open(f"s3://{bench.settings.bucket}/other/d.png").read() == b"other/d.png"


def test_many_questions_become_one_listing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.upload("sets/film-7.png", b"film")
    asked = []
    head = bench.store.head
    monkeypatch.setattr(bench.store, "head", lambda *given: asked.append(given) or head(*given))
    monkeypatch.setattr("workers.set_files._ASK", 5)
    files = in_bucket(bench)
    assert [files.exists(f"film-{number}.png") for number in range(20)] == [number == 7 for number in range(20)]
    assert len(asked) == 5


@pytest.mark.parametrize("address", ["../uploads/x", "/etc/passwd", "a/../../x", "s3://another/x", "s3://"])
def test_an_address_that_leads_out_is_refused(bench: Bench, tmp_path: Path, address: str) -> None:
    folder = SharedFolder(tmp_path, tmp_path, in_bucket(bench, ""), nothing)
    for files in (in_bucket(bench), folder):
        with pytest.raises(LeadsOut):
            files.exists(address)
        with pytest.raises(LeadsOut):
            files.open(address)


def test_our_own_bucket_is_no_place_for_a_set(bench: Bench) -> None:
    spec = SetSpec("ours", "table", path=f"s3://{bench.settings.derived_bucket}/training/texts/x.jsonl")
    with pytest.raises(LeadsOut):
        files_of(spec, bench.store, None, 1000, nothing)


def test_what_was_changed_since_the_plan_is_not_read(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"first")
    bench.upload("sets/a.png", b"first")
    folder, bucket = SharedFolder(tmp_path, tmp_path, in_bucket(bench, ""), nothing), in_bucket(bench)
    seen = [(files.place("a.png"), files.version("a.png")) for files in (folder, bucket)]
    for place, version in seen:
        assert read_place(place, version, bench.store, tmp_path, 1000) == b"first"
        with pytest.raises(Rejected):
            read_place(place, version, bench.store, tmp_path, 4)
    (tmp_path / "a.png").write_bytes(b"second one")
    bench.upload("sets/a.png", b"second one")
    for place, version in seen:
        with pytest.raises(ObjectReplaced):
            read_place(place, version, bench.store, tmp_path, 1000)
    (tmp_path / "a.png").unlink()
    bench.client.delete_object(Bucket=bench.settings.bucket, Key="sets/a.png")
    for place, version in seen:
        with pytest.raises(ObjectMissing):
            read_place(place, version, bench.store, tmp_path, 1000)


def test_a_worker_without_the_folder_says_which_setting_it_lacks(bench: Bench) -> None:
    with pytest.raises(TrainingError, match="XRAYGPT_TRAINING_DATA"):
        read_place("archive/a.png", "1-1", bench.store, None, 1000)


def test_the_other_files_of_a_run_come_from_the_bucket_or_the_folder(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "chat.json").write_text("[]")
    bench.upload("models/projector.pth", b"weights")
    settings = bench.settings.model_copy(update={"training_data": tmp_path / "sets"})
    context = bench.context.__class__(settings, bench.ledger, bench.store, bench.context.heartbeat, "test")
    given = {
        "steps": 3,
        "conversations": {"files": ["chat.json"], "max_tokens": 100},
        "projector": {"file": f"s3://{bench.settings.bucket}/models/projector.pth"},
    }
    local = local_inputs(context, given, tmp_path / "inputs", nothing)
    assert local["conversations"] == {"files": [str(tmp_path / "sets" / "chat.json")], "max_tokens": 100}
    assert Path(local["projector"]["file"]).read_bytes() == b"weights"
    assert local["projector"]["file"].endswith(".pth")
    for bad in ("../outside.json", "/etc/passwd", "s3://another/x.json", "nowhere.json"):
        with pytest.raises(TrainingError):
            local_inputs(context, {"conversations": {"files": [bad]}}, tmp_path / "again", nothing)
