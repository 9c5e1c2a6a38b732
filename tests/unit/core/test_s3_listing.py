"""A page of a listing, read quickly: the same objects botocore would have told, and its own errors."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from xraygpt_core.s3_listing import read_listings_quickly

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><EncodingType>url</EncodingType>
<Contents><Key>in%20box/a%26b.dcm</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>
<ETag>&quot;0123&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>
<Contents><Key>in/c.dcm</Key><LastModified>2026-01-02T03:04:05Z</LastModified><ETag>"45"</ETag><Size>0</Size></Contents>
<CommonPrefixes><Prefix>in/deep/</Prefix></CommonPrefixes>
<IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken><KeyCount>2</KeyCount>
</ListBucketResult>"""
ERROR = "<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>"


class Raw:
    """What urllib3 would have received."""

    def __init__(self, body: str) -> None:
        self._body = body.encode()

    def stream(self, *_: object) -> Any:
        return iter([self._body])


def client_answered(body: str, status: int = 200, *, quickly: bool = True) -> Any:
    """A client whose every request is answered with this, without a network."""
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )
    answer = AWSResponse("http://127.0.0.1:1", status, {"Content-Type": "application/xml"}, Raw(body))
    client.meta.events.register("before-send.s3", lambda **_: answer)
    if quickly:
        read_listings_quickly(client)
    return client


def listed(client: Any) -> Any:
    try:
        return client.list_objects_v2(Bucket="b")
    finally:
        client.close()


def test_the_objects_are_those_botocore_would_have_told() -> None:
    quick, slow = listed(client_answered(PAGE)), listed(client_answered(PAGE, quickly=False))
    names = ("Key", "ETag", "Size", "LastModified")
    assert quick["Contents"] == [{name: item[name] for name in names} for item in slow["Contents"]]
    assert quick["Contents"][0]["LastModified"] == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    assert quick["Contents"][0]["Key"] == "in box/a&b.dcm"


@pytest.mark.parametrize("name", ["IsTruncated", "NextContinuationToken", "KeyCount", "CommonPrefixes"])
def test_the_rest_of_the_page_stays_as_it_was(name: str) -> None:
    assert listed(client_answered(PAGE))[name] == listed(client_answered(PAGE, quickly=False))[name]


def test_a_page_without_objects_is_none() -> None:
    empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    assert "Contents" not in listed(client_answered(empty))


def test_an_error_is_told_as_ever() -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        listed(client_answered(ERROR, 404))


def test_an_object_that_says_too_little_is_left_to_botocore() -> None:
    odd = "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"
    assert listed(client_answered(odd))["Contents"] == [{"Key": "a"}]
