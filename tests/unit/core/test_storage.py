"""The object store, against a bucket of our own that obeys, or misbehaves in a way a test chose."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_s3 import FakeS3, etag_of, fake_s3
from xraygpt_core.errors import ConfigurationError, InvalidRequest, ObjectMissing, ObjectReplaced, Rejected, Unavailable
from xraygpt_core.incoming_file import IncomingFile
from xraygpt_core.settings import Settings
from xraygpt_core.states import ReasonCode
from xraygpt_core.storage import ObjectStore

SECRET_KEY_NAME = "incoming/DOE^JANE_1970.dcm"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeS3]:
    with fake_s3() as made:
        yield made


@pytest.fixture(scope="module")
def store(server: FakeS3) -> ObjectStore:
    return store_at(server.url)


@pytest.fixture(autouse=True)
def fake(server: FakeS3) -> FakeS3:
    fresh = FakeS3(url=server.url)
    vars(server).update(vars(fresh))
    return server


def store_at(url: str, **given: object) -> ObjectStore:
    return ObjectStore(
        Settings.model_validate(
            {
                "database_url": "postgresql://u:p@127.0.0.1/x",
                "redis_url": "redis://127.0.0.1/0",
                "s3_endpoint_url": url,
                "s3_access_key": "access",
                "s3_secret_key": "secret",
                "bucket": "source",
                "derived_bucket": "derived",
                "hmac_key": "00" * 32,
                **given,
            }
        )
    )


def test_head_gives_the_etag_without_quotes(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["source"]["a.dcm"] = b"film"
    head = store.head("source", "a.dcm")
    assert (head.etag, head.size, head.version_id) == (etag_of(b"film"), 4, None)


def test_the_registered_object_is_read(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["source"]["a.dcm"] = b"film"
    assert store.read("source", "a.dcm", etag=etag_of(b"film"), max_bytes=4) == b"film"


def test_an_empty_object_is_read_as_no_bytes(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["source"]["a.dcm"] = b""
    assert store.read("source", "a.dcm", etag=etag_of(b""), max_bytes=4) == b""


def test_an_overwritten_object_is_not_read(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["source"]["a.dcm"] = b"another film"
    with pytest.raises(ObjectReplaced):
        store.read("source", "a.dcm", etag=etag_of(b"film"), max_bytes=100)


def test_a_deleted_object_is_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        store.read("source", "a.dcm", etag="0", max_bytes=100)
    with pytest.raises(ObjectMissing):
        store.head("source", "a.dcm")


def test_a_bucket_that_is_gone_is_not_taken_for_a_deleted_film(store: ObjectStore) -> None:
    with pytest.raises(Unavailable):
        store.read("no-such-bucket", "a.dcm", etag="0", max_bytes=100)


def test_a_server_that_calls_a_missing_bucket_a_missing_key_is_not_believed(fake: FakeS3, store: ObjectStore) -> None:
    del fake.buckets["source"]
    fake.bucket_code = "NoSuchKey"
    with pytest.raises(Unavailable, match="bucket is not there"):
        store.head("source", "a.dcm")


def test_one_byte_too_many_is_rejected(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["source"]["a.dcm"] = b"films"
    with pytest.raises(Rejected) as caught:
        store.read("source", "a.dcm", etag=etag_of(b"films"), max_bytes=4)
    assert caught.value.reason is ReasonCode.TOO_LARGE


def test_a_body_cut_short_is_worth_a_retry(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["source"]["a.dcm"] = b"film"
    fake.lost = 2
    with pytest.raises(Unavailable):
        store.read("source", "a.dcm", etag=etag_of(b"film"), max_bytes=100)


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_refusal_is_worth_a_retry(fake: FakeS3, store: ObjectStore, status: int) -> None:
    fake.status = status
    with pytest.raises(Unavailable):
        store.get("normalised/0.png")


def test_no_answer_is_worth_a_retry() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        store = store_at(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(Unavailable, match="does not answer"):
            store.head("source", "a.dcm")


@pytest.mark.parametrize("status", [404, 412, 500])
def test_no_error_repeats_a_key(fake: FakeS3, store: ObjectStore, status: int) -> None:
    fake.status = status
    with pytest.raises(Exception, match=r"bucket|object") as caught:
        store.read("source", SECRET_KEY_NAME, etag="0", max_bytes=1)
    assert "DOE" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_listing_goes_over_its_pages_and_starts_behind_a_key(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["source"] = {f"in/{number}": b"film" for number in range(5)} | {"other/0": b"film"}
    assert [listed.key for listed in store.list("source", "in/")] == [f"in/{number}" for number in range(5)]
    assert [listed.key for listed in store.list("source", "in/", "in/2")] == ["in/3", "in/4"]
    first = next(store.list("source", "in/"))
    assert (first.etag, first.size, first.modified.year) == (etag_of(b"film"), 4, 2026)
    assert "in/0" not in repr(first)


def test_what_is_put_lies_in_the_derived_bucket(fake: FakeS3, store: ObjectStore) -> None:
    store.put("normalised/0.png", b"pixels", "image/png")
    assert fake.buckets == {"source": {}, "derived": {"normalised/0.png": b"pixels"}}
    assert store.get("normalised/0.png") == b"pixels"


def test_a_file_goes_to_the_bucket_and_comes_back(fake: FakeS3, store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w" * 100)
    store.put_file("runs/1/weights", tmp_path / "weights")
    store.get_file("runs/1/weights", tmp_path / "new" / "weights")
    assert (tmp_path / "new" / "weights").read_bytes() == b"w" * 100


def test_a_file_that_came_half_is_not_there(fake: FakeS3, store: ObjectStore, tmp_path: Path) -> None:
    fake.buckets["derived"]["runs/1/weights"] = b"w" * 100
    fake.lost = 1
    with pytest.raises(Unavailable):
        store.get_file("runs/1/weights", tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


def arrived(sha256: str, *pieces: bytes) -> IncomingFile:
    arriving = IncomingFile(sha256, max_bytes=100)
    for piece in pieces:
        arriving.take(piece)
    return arriving


def test_an_upload_is_named_by_its_hash_and_written_once(fake: FakeS3, store: ObjectStore) -> None:
    sha256 = hashlib.sha256(b"film").hexdigest()
    with arrived(sha256, b"fi", b"lm") as one, arrived(sha256, b"film") as again:
        assert store.put_upload(one) == store.put_upload(again)
    assert fake.buckets["source"] == {f"uploads/{sha256}": b"film"}
    assert fake.puts == 1


def test_an_upload_under_a_wrong_hash_is_not_written(fake: FakeS3, store: ObjectStore) -> None:
    with arrived("0" * 64, b"film") as wrong, pytest.raises(InvalidRequest):
        store.put_upload(wrong)
    assert fake.buckets["source"] == {}


def test_an_upload_stops_at_the_limit() -> None:
    with IncomingFile("0" * 64, max_bytes=10) as arriving:
        arriving.take(b"film")
        arriving.take(b"film")
        with pytest.raises(Rejected):
            arriving.take(b"film")


def test_a_prefix_is_deleted_and_nothing_beside_it(fake: FakeS3, store: ObjectStore) -> None:
    fake.buckets["derived"] = {"runs/1/a": b"", "runs/1/b": b"", "runs/1/c": b"", "runs/10/a": b""}
    assert store.delete_prefix("runs/1/") == 3
    assert list(fake.buckets["derived"]) == ["runs/10/a"]


@pytest.mark.parametrize("prefix", ["", "/"])
def test_the_whole_bucket_is_never_a_prefix(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(InvalidRequest):
        store.delete_prefix(prefix)


def test_a_missing_bucket_stops_the_start(fake: FakeS3, store: ObjectStore) -> None:
    store.check()
    del fake.buckets["derived"]
    with pytest.raises(ConfigurationError, match="XRAYGPT_DERIVED_BUCKET"):
        store.check()
