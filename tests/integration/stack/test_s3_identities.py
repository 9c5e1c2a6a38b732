"""What each identity of the S3 server may do, TLS, and that deleted bytes leave the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from tests.support.s3_tools import s3_client
from tests.support.service_tools import started
from xraygpt.stack.servers.s3 import ObjectServer
from xraygpt.stack.servers.s3_identities import GRANTS, IDENTITIES, OWNER
from xraygpt.stack.settings.certificates import Authority
from xraygpt_core.s3_client import s3_client as our_client
from xraygpt_core.settings import Settings

REFUSED = {"AccessDenied", "403", "Forbidden"}
UNKNOWN = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}
ONCE = {"total_max_attempts": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with started(ObjectServer(tmp_path_factory.mktemp("s3"), webhook_bucket="source", derived_bucket="derived")) as one:
        with closing(client_of(one, OWNER)) as client:
            for bucket in ("source", "derived", "other"):
                client.create_bucket(Bucket=bucket)
        yield one


def client_of(server: ObjectServer, identity: str) -> Any:
    return s3_client(server.url, *server.keys(identity), retries=ONCE)


def may(call: Callable[[], Any]) -> bool:
    """Is it done? Any refusal but the one for lack of right is raised."""
    try:
        answer = call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in REFUSED:
            raise
        return False
    return not answer.get("Errors")  # DeleteObjects answers 200 and refuses within


def verbs(client: Any, bucket: str, prefix: str) -> dict[str, Callable[[], Any]]:
    """Every way to use a bucket, by the right it needs."""
    there, new = f"{prefix}there", f"{prefix}new"
    return {
        "head": lambda: client.head_bucket(Bucket=bucket),
        "list": lambda: client.list_objects_v2(Bucket=bucket, Prefix=prefix),
        "list all": lambda: client.list_objects(Bucket=bucket),
        "versions": lambda: client.list_object_versions(Bucket=bucket),
        "read": lambda: client.get_object(Bucket=bucket, Key=there),
        "read head": lambda: client.head_object(Bucket=bucket, Key=there),
        "read range": lambda: client.get_object(Bucket=bucket, Key=there, Range="bytes=0-0"),
        "write": lambda: client.put_object(Bucket=bucket, Key=new, Body=b"1"),
        "write over": lambda: client.put_object(Bucket=bucket, Key=there, Body=b"1"),
        "write parts": lambda: in_parts(client, bucket, new),
        "delete": lambda: client.delete_object(Bucket=bucket, Key=there),
        "delete many": lambda: client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": there}]}),
        "policy": lambda: client.put_bucket_policy(Bucket=bucket, Policy=ANYBODY % bucket),
        "acl": lambda: client.put_object_acl(Bucket=bucket, Key=there, ACL="public-read"),
        "lifecycle": lambda: client.delete_bucket_lifecycle(Bucket=bucket),
        "remove": lambda: client.delete_bucket(Bucket=bucket),
    }


ANYBODY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*",
 "Resource": "arn:aws:s3:::%s/*"}]}"""


def in_parts(client: Any, bucket: str, key: str) -> Any:
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    where = {"Bucket": bucket, "Key": key, "UploadId": upload}
    part = client.upload_part(**where, PartNumber=1, Body=b"1")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    return client.complete_multipart_upload(**where, MultipartUpload=parts)


@pytest.mark.parametrize("identity", GRANTS)
def test_an_identity_may_do_what_its_process_does_and_nothing_else(server: ObjectServer, identity: str) -> None:
    places = {"source": ("source", "DOE/"), "uploads": ("source", "uploads/")}
    ours = (
        "normalised",
        "runs",
        "reports",
        *(f"training/{one}" for one in ("texts", "addresses", "images", "features")),
    )
    places |= {name: ("derived", f"{name}/") for name in ours}
    granted = {(place, "head") for place in places}
    for bucket, prefix, allowed in GRANTS[identity]:
        below = [place for place, (name, key) in places.items() if name == bucket and key.startswith(prefix)]
        granted |= {(place, verb) for place in below for verb in allowed.split()}
    done, expected = set(), set()
    with closing(client_of(server, OWNER)) as owner, closing(client_of(server, identity)) as client:
        for place, (bucket, prefix) in places.items():
            owner.put_object(Bucket=bucket, Key=f"{prefix}there", Body=b"1")
            for what, call in verbs(client, bucket, prefix).items():
                if may(call):
                    done.add((place, what))
                    owner.put_object(Bucket=bucket, Key=f"{prefix}there", Body=b"1")  # it may have been deleted
                if (place, what.split()[0]) in granted:
                    expected.add((place, what))
        assert done == expected
        assert not any(may(call) for call in verbs(client, "other", "").values())
        assert not may(lambda: client.create_bucket(Bucket="new-bucket"))


def test_an_identity_copies_nothing_to_where_it_may_not_write(server: ObjectServer) -> None:
    with closing(client_of(server, OWNER)) as owner, closing(client_of(server, "control")) as client:
        owner.put_object(Bucket="source", Key="DOE/there", Body=b"1")
        copy = {"Bucket": "source", "Key": "DOE/there"}
        assert not may(lambda: client.copy_object(Bucket="derived", Key="copy", CopySource=copy))


def test_the_keys_of_a_former_version_stay_the_owner_s(tmp_path: Path) -> None:
    (tmp_path / "service.json").write_text('{"access_key": "OLD", "secret_key": "KEY", "jwt_key": "x", "ports": {}}')
    server = ObjectServer(tmp_path, webhook_bucket="source", derived_bucket="derived")
    assert server.keys(OWNER) == ("OLD", "KEY")
    assert len({server.keys(identity) for identity in IDENTITIES}) == len(IDENTITIES)


def test_files_that_hold_keys_are_their_owner_s_alone(server: ObjectServer) -> None:
    secrets = {key for identity in IDENTITIES for key in server.keys(identity)}
    holding = [
        path
        for path in server.directory.rglob("*")
        if path.is_file() and any(secret in path.read_bytes().decode(errors="replace") for secret in secrets)
    ]
    assert {path.name for path in holding} == {"identities.json", "keys.json"}
    assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}


def test_deleted_pictures_leave_the_disk(server: ObjectServer) -> None:
    picture, other = os.urandom(200_000), os.urandom(50_000)
    with closing(client_of(server, OWNER)) as client:
        client.put_object(Bucket="derived", Key="normalised/a.png", Body=picture)
        client.put_object(Bucket="derived", Key="normalised/b.png", Body=other)
        client.put_object(Bucket="derived", Key="preview/small.png", Body=picture[:300])
        assert on_disk(server, picture)
        for key in ("normalised/a.png", "preview/small.png"):
            client.delete_object(Bucket="derived", Key=key)
        for _ in range(100):  # the filer deletes behind the request
            server.compact()
            if not on_disk(server, picture):
                break
        assert not on_disk(server, picture)
        assert client.get_object(Bucket="derived", Key="normalised/b.png")["Body"].read() == other


def on_disk(server: ObjectServer, picture: bytes) -> bool:
    """Is any piece of it in any file below the directory?"""
    pieces = [picture[start : start + 64] for start in range(0, len(picture) - 64, 20_000)]
    return any(
        piece in content
        for content in (path.read_bytes() for path in server.directory.rglob("*") if path.is_file())
        for piece in pieces
    )


def test_with_tls_it_speaks_to_who_trusts_its_authority(tmp_path: Path) -> None:
    server = ObjectServer(tmp_path / "s3", tls=Authority(tmp_path / "tls"))

    def client(ca_file: Path | None) -> Any:
        settings = Settings.model_construct(
            s3_endpoint_url=server.url,
            s3_access_key=SecretStr(server.access_key),
            s3_secret_key=SecretStr(server.secret_key),
            s3_ca_file=ca_file,
        )
        return our_client(settings, attempts=1)

    with started(server):
        assert server.url.startswith("https://")
        with closing(client(server.ca_file)) as trusting:
            trusting.create_bucket(Bucket="source")
            trusting.put_object(Bucket="source", Key="a", Body=b"1" * 100_000)
            assert trusting.get_object(Bucket="source", Key="a")["ContentLength"] == 100_000
        with closing(client(None)) as doubting, pytest.raises(BotoCoreError):
            doubting.list_buckets()
