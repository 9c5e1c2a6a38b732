"""Which services are ours and which are somebody else's; nothing is started."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers import services as module
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.servers.s3 import ObjectServer
from xraygpt.stack.servers.services import BackingServices

EXTERNAL = {
    "XRAYGPT_DATABASE_URL": "postgresql://them:secret@db:5432/films?sslmode=require",
    "XRAYGPT_REDIS_URL": "rediss://:secret@broker:6379/0",
    "XRAYGPT_S3_ENDPOINT_URL": "https://s3.hospital",
}


def services(root: Path, **environ: str) -> BackingServices:
    return BackingServices(root, environ, "http://127.0.0.1:1/v1/events/s3", "token")


def test_everything_is_embedded_where_nothing_is_named(tmp_path: Path) -> None:
    ours = services(tmp_path)
    assert [type(unit) for unit in ours.units.values()] == [Postgres, Broker, ObjectServer]
    assert (ours.bucket, ours.derived_bucket) == ("xraygpt-source", "xraygpt-derived")
    server = ours.units["s3"]
    assert isinstance(server, ObjectServer)
    assert server.webhook_bucket == "xraygpt-source"
    assert ours.s3_keys == (server.access_key, server.secret_key)


@pytest.mark.parametrize(
    ("setting", "name"),
    [("XRAYGPT_DATABASE_URL", "postgres"), ("XRAYGPT_REDIS_URL", "broker"), ("XRAYGPT_S3_ENDPOINT_URL", "s3")],
)
def test_one_setting_replaces_one_service(tmp_path: Path, setting: str, name: str) -> None:
    ours = services(tmp_path, **{setting: EXTERNAL[setting]})
    assert set(ours.units) == {"postgres", "broker", "s3"} - {name}
    urls = {ours.database_url, ours.redis_url, ours.s3_endpoint_url}
    assert EXTERNAL[setting] in urls


def test_keys_of_an_external_bucket_come_from_the_environment_or_from_boto3_s_own_search(tmp_path: Path) -> None:
    assert services(tmp_path, **EXTERNAL).s3_keys == (None, None)
    keys = {"XRAYGPT_S3_ACCESS_KEY": "a", "XRAYGPT_S3_SECRET_KEY": "s"}
    assert services(tmp_path, **EXTERNAL, **keys).s3_keys == ("a", "s")


def test_a_reader_that_is_given_is_not_touched(tmp_path: Path) -> None:
    given = "postgresql://r@db/films"
    assert services(tmp_path, XRAYGPT_READER_URL=given).logins({}, {}).reader_url() == given


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("XRAYGPT_REDIS_URL", "sentinel://a:26379"),
        ("XRAYGPT_DATABASE_URL", "mysql://films"),
        ("XRAYGPT_DATABASE_URL", "postgresql://films/x?options=-B%201"),
    ],
)
def test_an_address_nobody_can_use_stops_the_stack_before_it_starts_anything(
    tmp_path: Path, name: str, url: str
) -> None:
    with pytest.raises(StackError, match=name):
        services(tmp_path, **{name: url})


class Buckets:
    """An S3 client that knows some buckets and refuses others."""

    def __init__(self, known: set[str], forbidden: set[str]) -> None:
        self.known = known
        self.forbidden = forbidden
        self.created: list[dict[str, Any]] = []

    def head_bucket(self, Bucket: str) -> None:
        if Bucket in self.forbidden:
            raise ClientError({"Error": {"Code": "403"}}, "HeadBucket")
        if Bucket not in self.known:
            raise ClientError({"Error": {"Code": "404"}}, "HeadBucket")

    def create_bucket(self, **arguments: Any) -> None:
        self.created.append(arguments)

    def close(self) -> None:
        pass


def create(monkeypatch: pytest.MonkeyPatch, root: Path, client: Buckets, **environ: str) -> None:
    monkeypatch.setattr(module, "new_client", lambda *_, **__: client)
    services(root, XRAYGPT_BUCKET="films", XRAYGPT_DERIVED_BUCKET="ours", **EXTERNAL, **environ).create_buckets()


def test_only_missing_buckets_are_created(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = Buckets({"films"}, set())
    create(monkeypatch, tmp_path, client)
    assert client.created == [{"Bucket": "ours"}]


def test_a_bucket_is_created_in_its_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = Buckets({"films"}, set())
    create(monkeypatch, tmp_path, client, XRAYGPT_S3_REGION="eu-central-1")
    assert client.created == [{"Bucket": "ours", "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}]


def test_a_bucket_we_may_not_see_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = Buckets(set(), {"films"})
    with pytest.raises(StackError, match=r"bucket films at https://s3\.hospital"):
        create(monkeypatch, tmp_path, client)
    assert client.created == []
