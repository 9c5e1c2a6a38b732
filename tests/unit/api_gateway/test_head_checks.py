"""Which heads are believed, and which chunked bodies."""

import platform
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api_gateway.head_checks import MOST_FIELDS, Chunks, fault, names_of
from xraygpt_core.settings import Settings

GOOD = b"POST /v1/query?a=b HTTP/1.1\r\nHost: gateway:8000\r\nContent-Length: 5\r\nX-Thing: a \t b\r\n\r\n"


def said(head: bytes) -> str | None:
    return fault(head, lambda host: host == "gateway")


def test_a_good_head_has_no_fault() -> None:
    assert said(GOOD) is None
    assert said(b"GET / HTTP/1.0\r\nHost: gateway\r\n\r\n") is None
    assert (
        said(b"PUT /a HTTP/1.1\r\nhOST:gateway\r\ntransfer-encoding: Chunked\r\nX-\xc3\xa4-none:\r\n\r\n") is not None
    )
    assert (
        said(b"PUT /a HTTP/1.1\r\nhOST:gateway\r\ntransfer-encoding: Chunked\r\nX-Empty:\r\nX: \xc3\xa4\r\n\r\n")
        is None
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 6"),
        (b"Content-Length: 5", b"Content-Length: 5\r\ncontent-length: 5"),
        (b"Content-Length: 5", b"Content-Length: 5, 5"),
        (b"Content-Length: 5", b"Content-Length: +5"),
        (b"Content-Length: 5", b"Content-Length: 0x5"),
        (b"Content-Length: 5", b"Content-Length: -1"),
        (b"Content-Length: 5", b"Content-Length:"),
        (b"Content-Length: 5", b"Content-Length : 5"),
        (b"Content-Length: 5", b"Transfer-Encoding: gzip, chunked"),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        (b"Content-Length: 5", b"Transfer-Encoding: xchunked"),
        (b"Content-Length: 5", b"Transfer-Encoding:\x0bchunked"),
        (b"Content-Length: 5", b" Content-Length: 5"),
        (b"X-Thing: a", b"X-Thing: a\r\n folded"),
        (b"X-Thing: a", b"X-Thing: a\nY: b"),
        (b"X-Thing: a", b"X-Thing: a\rY: b"),
        (b"X-Thing: a", b"X-Thing: a\0"),
        (b"X-Thing: a", b"X Thing: a"),
        (b"X-Thing: a", b"nothing"),
        (b"X-Thing: a", b": a"),
        (b"Host: gateway:8000", b"Host: gateway\r\nHost: gateway"),
        (b"Host: gateway:8000", b"X: y"),
        (b"Host: gateway:8000", b"Host: evil.example"),
        (b"Host: gateway:8000", b"Host: gateway@evil"),
        (b"Host: gateway:8000", b"Host: gateway/evil"),
        (b"Host: gateway:8000", b"Host:"),
        (b"Host: gateway:8000", b"Host: [::1"),
        (b"/v1/query", b"http://gateway/v1/query"),
        (b"/v1/query", b"//gateway/ /x"),
        (b"POST ", b"POST  "),
        (b"POST", b"post"),
        (b"POST ", b"\r\nPOST "),
        (b"POST /v1/query?a=b", b"CONNECT gateway:1"),
        (b"POST /v1/query?a=b", b"OPTIONS *"),
        (b"HTTP/1.1", b"HTTP/2.0"),
        (b"HTTP/1.1", b"HTTP/1.1 "),
        (b"?a=b", b"?a=\xff"),
        (b"X-Thing: a \t b", b"\r\n".join([b"X: y"] * MOST_FIELDS)),
    ],
)
def test_a_head_that_may_be_read_in_two_ways_is_refused(old: bytes, new: bytes) -> None:
    assert old in GOOD
    assert said(GOOD.replace(old, new)) is not None


def test_an_old_client_sends_no_chunks() -> None:
    assert said(b"POST / HTTP/1.0\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n") is not None


def answers_under(host: str, **changes: Any) -> bool:
    values: dict[str, Any] = {"bucket": "a", "derived_bucket": "b", "hmac_key": "5" * 64, "redis_url": "redis://x"}
    return names_of(Settings(database_url=SecretStr("postgresql://x"), **(values | changes)))(host)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "[::1]", "192.0.2.1", "[2001:db8::1]", platform.node()],
)
def test_the_gateway_answers_under_addresses_and_the_names_of_its_machine(host: str) -> None:
    assert answers_under(host)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "1.2.3"])
def test_a_name_that_was_made_to_lead_here_does_not_come_in(host: str) -> None:
    assert not answers_under(host)
    assert not answers_under(host, allowed_hosts="xray.example.org *.hospital.example")


def test_names_can_be_added() -> None:
    names = "Xray.example.org, *.hospital.example"
    assert answers_under("xray.example.org", allowed_hosts=names)
    assert answers_under("a.hospital.example", allowed_hosts=names)
    assert not answers_under("hospital.example.evil", allowed_hosts=names)
    assert not answers_under("xhospital.example", allowed_hosts=names)
    assert answers_under("anything.example", allowed_hosts="*")


BODY = b"5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n"


@given(st.lists(st.integers(1, len(BODY)), max_size=6))
def test_a_chunked_body_is_sound_however_it_comes(cuts: list[int]) -> None:
    chunks, places = Chunks(), [0, *sorted(set(cuts)), len(BODY)]
    assert all(chunks.sound(BODY[start:end]) for start, end in pairwise(places))
    assert chunks.whole
    assert chunks.sound(b"GET / HTTP/1.1")


@pytest.mark.parametrize(
    "body",
    [
        b"5;name=value\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"\r\n",
        b"000000000000000000005",
        b"0\r\nTrailer: x\r\n\r\n",
        b"0\r\n\n",
    ],
)
def test_a_chunk_that_may_be_read_in_two_ways_is_refused(body: bytes) -> None:
    assert not Chunks().sound(body)
    chunks = Chunks()
    assert not all(chunks.sound(bytes([byte])) for byte in body)
