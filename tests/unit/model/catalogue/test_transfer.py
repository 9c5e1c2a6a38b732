"""One file from a host that misbehaves: what is here stays, the tries are few, and one sentence says what is wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub_server import sha256
from tests.support.odd_host import Answer, OddHost, chunked, odd_host, plain
from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.answers import Remote
from xraygpt_core.model.catalogue.transfer import transfer

BODY = bytes(range(250)) * 4
PAGE = b"<!DOCTYPE html><html>Log in, please</html>"
PAUSES = [1.0, 2.0, 4.0, 8.0]


class Bringing:
    """The file ``BODY`` on its way into a folder, as often as a test likes."""

    def __init__(self, host: OddHost, folder: Path) -> None:
        self.host, self.part, self.target = host, folder / "weights.part", folder / "weights.bin"
        self.waited: list[float] = []

    def run(self, *answers: Answer) -> None:
        self.host.answers = list(answers)
        remote = Remote(self.host.url, len(BODY), sha256(BODY))
        transfer(remote, self.part, self.target, lambda _: None, self.wait)

    def refused(self, *answers: Answer) -> str:
        with pytest.raises(BundleError) as caught:
            self.run(*answers)
        assert not self.target.exists()
        return str(caught.value)

    def wait(self, seconds: float) -> None:
        assert len(self.waited) < 20, "it asks for ever"
        self.waited.append(seconds)


@pytest.fixture
def bringing(tmp_path: Path) -> Iterator[Bringing]:
    with odd_host() as host:
        yield Bringing(host, tmp_path)


@pytest.mark.parametrize(
    "empty",
    [plain(b""), plain(b"", 206), plain(b"not the weights at all"), chunked(b"few"), plain(b"few", Content_Length="3")],
    ids=["200", "206", "other", "chunked", "three"],
)
def test_a_host_that_sends_too_little_is_asked_five_times_with_growing_pauses(
    bringing: Bringing, empty: Answer
) -> None:
    sentence = bringing.refused(empty)
    assert "what was downloaded is kept, and the same command goes on from there" in sentence
    assert len(bringing.host.asked) <= 6
    assert bringing.waited[-4:] == PAUSES


def test_a_host_that_sends_too_little_is_named_with_both_sizes(bringing: Bringing) -> None:
    assert "ends after 600 of the 1000 bytes of weights.bin" in bringing.refused(
        plain(BODY[:600], 206), plain(b"", 206)
    )
    assert bringing.part.read_bytes() == BODY[:600]


def test_tries_begin_anew_only_where_the_file_has_grown_beyond_what_it_was(bringing: Bringing) -> None:
    some = [plain(BODY[at : at + 100], 206) for at in (0, 100)]
    none = plain(b"", 206)
    bringing.run(some[0], none, none, some[1], none, none, none, plain(BODY[200:], 206))
    assert bringing.waited == [1.0, 1.0, 2.0, 1.0, 1.0, 2.0, 4.0]
    assert bringing.target.read_bytes() == BODY


@pytest.mark.parametrize(
    "kind", [{"Content_Type": "text/html; charset=utf-8"}, {}], ids=["by-its-type", "by-its-bytes"]
)
@pytest.mark.parametrize("here", [0, 900])
def test_a_login_page_is_named_at_once_and_what_is_here_stays(
    bringing: Bringing, here: int, kind: dict[str, str]
) -> None:
    bringing.part.write_bytes(BODY[:here])
    sentence = bringing.refused(plain(PAGE, **kind))
    assert "sends a web page instead of weights.bin" in sentence
    assert "a proxy or a login page" in sentence
    assert bringing.part.read_bytes() == BODY[:here]
    assert bringing.waited == []


@pytest.mark.parametrize("length", [18, 5000])
def test_a_whole_answer_of_another_length_leaves_what_is_here(bringing: Bringing, length: int) -> None:
    bringing.part.write_bytes(BODY[:900])
    assert f"sends {length} bytes of weights.bin, and 1000 were promised" in bringing.refused(plain(b"o" * length))
    assert bringing.part.read_bytes() == BODY[:900]


def test_a_whole_answer_that_breaks_off_leaves_what_is_here(bringing: Bringing) -> None:
    bringing.part.write_bytes(BODY[:900])
    bringing.refused(plain(BODY[:100], Content_Length="1000"))
    assert bringing.part.read_bytes() == BODY[:900]


@pytest.mark.parametrize("answer", [plain(BODY), chunked(BODY[:500], BODY[500:])], ids=["length", "chunked"])
def test_a_host_without_ranges_goes_on_where_its_bytes_are_those_that_are_here(
    bringing: Bringing, answer: Answer
) -> None:
    bringing.part.write_bytes(BODY[:900])
    bringing.run(answer)
    assert bringing.target.read_bytes() == BODY
    assert bringing.waited == []


def test_other_bytes_than_those_here_begin_it_anew_where_the_whole_file_is_promised(bringing: Bringing) -> None:
    bringing.part.write_bytes(bytes(900))
    bringing.run(plain(BODY))
    assert bringing.host.asked == ["bytes=900-", None]
    assert bringing.target.read_bytes() == BODY


def test_other_bytes_than_those_here_leave_them_where_no_length_is_promised(bringing: Bringing) -> None:
    bringing.part.write_bytes(BODY[:900])
    assert "other bytes than those that are here" in bringing.refused(chunked(b"o" * 1000))
    assert bringing.part.read_bytes() == BODY[:900]


def test_a_range_that_is_refused_leaves_what_is_here(bringing: Bringing) -> None:
    bringing.part.write_bytes(BODY[:900])
    sentence = bringing.refused(plain(b"", 416))
    assert "has a shorter weights.bin than it promised" in sentence
    assert bringing.part.read_bytes() == BODY[:900]
    assert bringing.waited == PAUSES


def test_another_range_than_was_asked_for_is_not_appended(bringing: Bringing) -> None:
    bringing.part.write_bytes(BODY[:400])
    sentence = bringing.refused(plain(BODY, 206, Content_Range="bytes 0-999/1000"))
    assert "sends another part of weights.bin than was asked for" in sentence
    assert bringing.part.read_bytes() == BODY[:400]


def test_an_endless_body_is_left_at_the_promised_size_and_said(bringing: Bringing) -> None:
    sentence = bringing.refused(chunked(b"o" * 3000, ends=False))
    assert "sends more than the 1000 bytes" in sentence
    assert "thrown away" in sentence
    assert not bringing.part.exists()


def test_what_follows_the_promised_bytes_is_left_where_those_are_right(bringing: Bringing) -> None:
    bringing.run(chunked(BODY, b"more", ends=False))
    assert bringing.target.read_bytes() == BODY
