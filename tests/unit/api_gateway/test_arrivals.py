"""A number in a form of another page: one good number is carried into the page, as an attribute and no markup."""

from html.parser import HTMLParser
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.arrivals import KINDS, LONGEST_FORM, number_in, with_number

FORM = "application/x-www-form-urlencoded"
PAGE = "<!doctype html>\n<html>\n<head>\n  <title>Room</title>\n</head>\n<body></body>\n</html>\n"


class Metas(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.metas: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "meta":
            self.metas.append(dict(attrs))


@pytest.mark.parametrize("kind", KINDS)
def test_one_number_is_taken(kind: str) -> None:
    assert number_in(FORM + "; charset=utf-8", urlencode({kind: " ACC 1003 ", "target": "x"}).encode()) == (
        kind,
        "ACC 1003",
    )


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM, b""),
        (FORM, b"accession="),
        (FORM, b"name=DOE"),
        (FORM, b"accession=1&patient=2"),
        (FORM, b"accession=1&accession=2"),
        (FORM, b"accession=" + b"1" * 65),
        (FORM, b"accession=1%00"),
        (FORM, b"accession=1%0a2"),
        (FORM, b"accession=%ff%fe"),
        (FORM, b"&".join([b"accession=1"] * 50)),
        (FORM, b"a=" + b"1" * LONGEST_FORM + b"&accession=1"),
        ("application/json", b'{"accession": "1"}'),
        ("text/plain", b"accession=1"),
        ("", b"accession=1"),
    ],
)
def test_whatever_else_comes_is_no_number(content_type: str, body: bytes) -> None:
    assert number_in(content_type, body) is None


@given(st.text(min_size=1, max_size=64), st.sampled_from(KINDS))
def test_a_number_of_any_letters_becomes_an_attribute_and_nothing_else(value: str, kind: str) -> None:
    try:
        body = f"{kind}={quote_plus(value)}".encode()
    except UnicodeEncodeError:
        return
    number = number_in(FORM, body)
    plain, shown = Metas(PAGE), Metas(with_number(PAGE, number))
    if number is None:
        assert shown.tags == plain.tags
    else:
        assert shown.tags == ["html", "head", "meta", "title", "body"]
        assert shown.metas == [{"name": "number", "data-kind": kind, "content": value.strip()}]


@given(st.binary(max_size=300), st.text(max_size=40))
def test_no_form_ends_in_an_error(body: bytes, content_type: str) -> None:
    with_number(PAGE, number_in(content_type, body))
    with_number(PAGE, number_in(FORM, body))
