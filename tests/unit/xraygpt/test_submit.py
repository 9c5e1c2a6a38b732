import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from xraygpt import submit
from xraygpt.client import Gateway, GatewayError
from xraygpt.submit import ResultRow, UploadInterrupted, all_done, chunks, follow, refresh, register, result


class Studies:
    """A gateway with two routes and a script: what each question for the states answers."""

    def __init__(self, *scripts: dict[str, str]) -> None:
        self.scripts = list(scripts)
        self.uploaded: list[str] = []
        self.registered: list[list[str]] = []
        self.asked: list[list[str]] = []
        self.refuse: dict[str, httpx.Response] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.startswith("/v1/uploads/"):
            digest = path.rpartition("/")[2]
            assert hashlib.sha256(request.read()).hexdigest() == digest
            self.uploaded.append(digest)
            return self.refuse.get(digest) or httpx.Response(200, json={"uri": f"s3://b/uploads/{digest}"})
        body = read(request)
        if path == "/v1/studies":
            uris = [one["uri"] for one in body["objects"]]
            self.registered.append(uris)
            return httpx.Response(
                202, json={"images": [{"image_id": f"i-{u}", "study_id": f"s-{u}", "source": u} for u in uris]}
            )
        self.asked.append(body["image_ids"])
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        return httpx.Response(200, json={"images": [self.image(i, script) for i in body["image_ids"]]})

    def image(self, image_id: str, script: dict[str, str]) -> dict[str, Any]:
        state = next((state for part, state in script.items() if image_id.endswith(part)), "received")
        return {
            "image_id": image_id,
            "study_id": f"final-{image_id}",
            "state": state,
            "reason_code": "blank" if state == "rejected" else None,
            "lane": "routine",
            "view": "PA",
            "flags": [],
            "seconds": 1.5,
            "summary": "No effusion." if state == "summarised" else None,
            "findings": None,
            "impression": None,
            "scope": None,
            "consistency": [],
        }

    def client(self) -> Gateway:
        return Gateway("http://gateway:1", "key", patience=0, transport=httpx.MockTransport(self))


def read(request: httpx.Request) -> Any:
    return json.loads(request.read())


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(submit, "LONGEST_PAUSE", 0.001)


@pytest.fixture
def film(tmp_path: Path) -> Callable[[str, bytes], str]:
    def film(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return film


def silent(_: Any) -> None:
    pass


def test_files_are_uploaded_and_objects_taken_as_they_are_in_order(film: Callable[[str, bytes], str]) -> None:
    server = Studies()
    sources = [film("b", b"b"), "s3://b/in/x.dcm", film("a", b"a")]
    with server.client() as client:
        rows = register(client, sources, "stat", silent)
    digests = [hashlib.sha256(content).hexdigest() for content in (b"b", b"a")]
    assert server.registered == [[f"s3://b/uploads/{digests[0]}", "s3://b/in/x.dcm", f"s3://b/uploads/{digests[1]}"]]
    assert [row.source for row in rows] == sources
    assert rows[1].image_id == "i-s3://b/in/x.dcm"


def test_byte_identical_files_are_one_object_and_two_rows(film: Callable[[str, bytes], str]) -> None:
    server = Studies()
    with server.client() as client:
        rows = register(client, [film("a", b"same"), film("b", b"same")], "routine", silent)
    assert [len(uris) for uris in server.registered] == [1]
    assert rows[0].study_id == rows[1].study_id
    assert rows[0].source != rows[1].source


def test_an_empty_file_is_sent_like_any_other(film: Callable[[str, bytes], str]) -> None:
    server = Studies()
    with server.client() as client:
        rows = register(client, [film("empty", b"")], "routine", silent)
    assert rows[0].image_id is not None


def test_many_files_are_sent_in_portions(film: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "REGISTER_AT_ONCE", 2)
    server, said = Studies(), list[str]()
    with server.client() as client:
        rows = register(client, [film(str(n), bytes([n])) for n in range(5)], "routine", said.append)
    assert [len(uris) for uris in server.registered] == [2, 2, 1]
    assert len({row.image_id for row in rows}) == 5
    assert said[-1] == "5 of 5 submitted"


def test_a_file_that_cannot_be_read_keeps_its_row(film: Callable[[str, bytes], str], tmp_path: Path) -> None:
    server, said = Studies(), list[str]()
    with server.client() as client:
        rows = register(client, [str(tmp_path / "gone"), film("a", b"a")], "routine", said.append)
    assert [(row.state, row.study_id is None) for row in rows] == [("cancelled", True), ("received", False)]
    assert said == [f"{tmp_path / 'gone'}: No such file or directory"]
    assert not all_done(rows)


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.Response(413, json={"detail": "too large"}),
        httpx.Response(422, json={"detail": "too large", "reason_code": "too_large"}),
    ],
)
def test_a_file_the_gateway_finds_too_large_is_rejected(
    film: Callable[[str, bytes], str], refusal: httpx.Response
) -> None:
    server = Studies()
    server.refuse[hashlib.sha256(b"big").hexdigest()] = refusal
    with server.client() as client:
        rows = register(client, [film("big", b"big")], "routine", silent)
    assert (rows[0].state, rows[0].reason_code, server.registered) == ("rejected", "too_large", [])


def test_any_other_refusal_of_a_file_is_an_error(film: Callable[[str, bytes], str]) -> None:
    server = Studies()
    server.refuse[hashlib.sha256(b"a").hexdigest()] = httpx.Response(401, json={"detail": "no such key"})
    with server.client() as client, pytest.raises(GatewayError, match="no such key"):
        register(client, [film("a", b"a")], "routine", silent)


def test_rows_are_followed_to_their_end() -> None:
    server = Studies({"1": "ingesting", "2": "rejected"}, {"1": "running"}, {"1": "summarised"})
    rows = [
        ResultRow("one", "routine", image_id="i-1"),
        ResultRow("two", "routine", image_id="i-2"),
        ResultRow("same", "stat", image_id="i-1"),
    ]
    seen: list[list[str]] = []
    with server.client() as client:
        follow(client, rows, seconds=None, notify=lambda now: seen.append([str(row.state) for row in now]))
    assert seen == [
        ["ingesting", "rejected", "ingesting"],
        ["running", "rejected", "running"],
        ["summarised", "rejected", "summarised"],
    ]
    assert server.asked == [["i-1", "i-2"], ["i-1"], ["i-1"]]
    assert rows[0].study_id == "final-i-1"
    assert all_done(rows)


def test_following_stops_when_the_time_is_up() -> None:
    server = Studies({"1": "queued"})
    rows = [ResultRow("one", "routine", image_id="i-1")]
    with server.client() as client:
        follow(client, rows, seconds=0.01, notify=silent)
    assert not all_done(rows)


def test_what_ended_is_not_asked_for_again() -> None:
    server = Studies({"1": "dead"})
    rows = [ResultRow("one", "routine", image_id="i-1")]
    with server.client() as client:
        refresh(client, rows)
        refresh(client, rows)
    assert server.asked == [["i-1"]]
    assert not all_done(rows)


def test_the_result_has_a_row_per_input_and_counts_states() -> None:
    rows = [
        ResultRow("a.dcm", "stat", state="summarised", study_id="s1", summary="No effusion."),
        ResultRow("b.dcm", "routine", state="rejected", study_id="s2", reason_code="blank"),
        ResultRow("c.dcm", "routine", state="summarised", study_id="s1", summary="No effusion."),
    ]
    names = ("study_id", "source", "state", "reason_code", "lane", "summary")
    expected = [
        ("s1", "a.dcm", "summarised", None, "stat", "No effusion."),
        ("s2", "b.dcm", "rejected", "blank", "routine", None),
        ("s1", "c.dcm", "summarised", None, "routine", "No effusion."),
    ]
    limits: dict[str, Any] = {"flags": [], "scope": None, "consistency": [], "known": False}
    limits |= dict.fromkeys(("image_id", "view", "seconds", "summary_id"))
    assert result(rows, 1.23456) == {
        "seconds": 1.235,
        "counts": {"summarised": 2, "rejected": 1},
        "studies": [dict(zip(names, values, strict=True)) | limits for values in expected],
    }


def test_chunks_keep_order_and_everything() -> None:
    assert [list(part) for part in chunks(list(range(5)), 2)] == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []


def test_a_file_that_changes_while_it_is_read_costs_its_own_row_only(film: Callable[[str, bytes], str]) -> None:
    server = Studies()
    first, second = film("a", b"a"), film("b", b"b")
    server.refuse[hashlib.sha256(b"a").hexdigest()] = httpx.Response(422, json={"detail": "another sha256"})
    said: list[str] = []

    def changed(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        if answer.status_code == 422:
            film("a", b"another")
        return answer

    client = Gateway("http://gateway:1", "key", patience=0, transport=httpx.MockTransport(changed))
    rows = register(client, [first, second], "routine", said.append)
    assert [row.state for row in rows] == ["cancelled", "received"]
    assert said == [f"{first}: it changed while it was read"]


def test_an_image_that_is_older_than_the_command_was_known_before() -> None:
    server = Studies({"1": "summarised", "2": "summarised"})
    ages = {"i-1": 58.0, "i-2": 2.0}

    def aged(request: httpx.Request) -> httpx.Response:
        images = json.loads(server(request).content)["images"]
        return httpx.Response(200, json={"images": [one | {"age_seconds": ages[one["image_id"]]} for one in images]})

    rows = [ResultRow("one", "routine", image_id="i-1"), ResultRow("two", "routine", image_id="i-2")]
    with Gateway("http://gateway:1", "key", patience=0, transport=httpx.MockTransport(aged)) as client:
        refresh(client, rows, since=3.0)
    assert [row.known for row in rows] == [True, False]


def test_ctrl_c_while_files_are_sent_registers_those_that_are_there_and_counts_them(
    film: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "REGISTER_AT_ONCE", 3)
    server = Studies()
    sent = submit._uploaded

    def interrupted(gateway: Gateway, file: Any) -> str:
        if Path(os.readlink(f"/proc/self/fd/{file.fileno()}")).name == "4":
            raise KeyboardInterrupt
        return sent(gateway, file)

    monkeypatch.setattr(submit, "_uploaded", interrupted)
    with server.client() as client, pytest.raises(UploadInterrupted) as stopped:
        register(client, [film(str(n), bytes([n])) for n in range(9)], "routine", silent)
    assert stopped.value.count == 9
    assert stopped.value.sent == sum(map(len, server.registered))
    assert 3 <= stopped.value.sent <= 5
