"""Progress and proof of a backlog."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import Result

from xraygpt.backlog_progress import SPAN_SECONDS, Proof, Speed, compared, progress_line
from xraygpt.client import Gateway
from xraygpt.commands import backlogs
from xraygpt.submit import ResultRow
from xraygpt_core.errors import Unavailable

Run = Callable[..., Result]
SEEN = "2026-01-01T00:00:00Z"
NOW = {"state": "listing", "listed": 10, "registered": 9, "summarised": 4, "rejected": 1, "dead": 0, "cancelled": 0}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def running(speed: Speed, clock: Clock, per_second: int, seconds: int) -> None:
    for second in range(seconds + 1):
        clock.now = float(second)
        speed.note(per_second * second)


def test_speed_is_that_of_the_last_half_minute() -> None:
    clock = Clock()
    speed = Speed(clock)
    running(speed, clock, 2, 100)
    assert speed.per_second == pytest.approx(2.0)
    clock.now += SPAN_SECONDS
    speed.note(200)
    assert speed.per_second == 0.0
    assert speed.eta(5) == "?"


@pytest.mark.parametrize(("left", "said"), [(10, "5 s"), (250, "2 min 05 s"), (9000, "1 h 15 min")])
def test_the_rest_is_told_as_people_say_it(left: int, said: str) -> None:
    clock = Clock()
    speed = Speed(clock)
    running(speed, clock, 2, 10)
    assert speed.eta(left) == said


def test_nobody_knows_before_something_moved() -> None:
    speed = Speed(Clock())
    speed.note(0)
    assert (speed.per_second, speed.eta(10)) == (0.0, "?")


def test_a_line_says_what_was_listed_and_what_became_of_it() -> None:
    clock = Clock()
    speed = Speed(clock)
    running(speed, clock, 1, 5)
    line = progress_line(NOW | {"open": 4}, speed)
    assert line == "listing: 10 listed, 9 registered, 4 summarised, 1 rejected, 0 dead, 1.0/s, ETA 4 s"
    assert "2 cancelled" in progress_line(NOW | {"open": 4, "cancelled": 2}, speed)


def proof(*states: str) -> Proof:
    found = Proof()
    for number, state in enumerate(states, 1):
        found.note(ResultRow(f"s3://b/{number}", "backlog", state))
    return found


def test_everything_at_its_end_is_the_proof() -> None:
    said: list[str] = []
    found = proof("summarised", "rejected", "dead", "cancelled")
    found.show(said.append)
    assert found.document() == {"listed": 4, "ended": 4, "differences": []}
    assert said == ["proof: 4 objects listed, 4 images ended; nothing is missing"]


def test_a_difference_is_named_object_by_object() -> None:
    said: list[str] = []
    found = proof("summarised", "received", "running")
    found.show(said.append)
    assert found.document()["differences"] == [
        {"source": "s3://b/2", "state": "received"},
        {"source": "s3://b/3", "state": "running"},
    ]
    assert said == [
        "not at its end: s3://b/2 (received)",
        "not at its end: s3://b/3 (running)",
        "proof: 3 objects listed, 1 images ended; 2 are not at their end",
    ]


@pytest.mark.parametrize(
    ("states", "done"),
    [([], True), (["summarised", "rejected"], True), (["summarised", "dead"], False), (["cancelled"], False)],
)
def test_done_is_summarised_or_rejected(states: list[str], done: bool) -> None:
    assert proof(*states).done == done


@pytest.fixture
def finished(fake_gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A backlog of two objects that is done at the second look; what became of them is in ``ends``."""
    looks = iter(["listing", "done"])
    fake_gateway.ends = {"s3://b/old/1": "summarised", "s3://b/old/2": "rejected"}
    fake_gateway.unseen = set()

    def registered(asked: Any) -> tuple[int, Any]:
        uris = [one["uri"] for one in asked.document["objects"]]
        return 202, {"images": [{"image_id": uri, "study_id": f"study of {uri}", "source": uri} for uri in uris]}

    def image(uri: str) -> dict[str, Any]:
        known = {"study_id": "s", "reason_code": None, "lane": "backlog", "view": None, "flags": [], "seconds": None}
        return {
            "image_id": uri,
            "state": fake_gateway.ends[uri],
            "summary": None,
            "scope": None,
            "consistency": [],
        } | known

    def looked_up(asked: Any) -> Any:
        assert {one["etag"] for one in asked.document["objects"]} == {"e"}
        uris = [one["uri"] for one in asked.document["objects"]]
        return {"images": [None if uri in fake_gateway.unseen else image(uri) for uri in uris]}

    fake_gateway.answers |= {
        "POST /v1/backlogs": (202, {"backlog_id": "b"}),
        "GET /v1/backlogs/b": lambda _: NOW | {"backlog_id": "b", "open": 4, "state": next(looks), "listed_at": SEEN},
        "POST /v1/backlogs/b/resume": NOW | {"backlog_id": "b", "open": 4},
        "POST /v1/studies": registered,
        "POST /v1/images/lookup": looked_up,
        "POST /v1/images/status": lambda asked: {"images": [image(uri) for uri in asked.document["image_ids"]]},
    }
    monkeypatch.setattr(backlogs, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(backlogs, "_objects", lambda _uri, _since: ((uri, "e") for uri in fake_gateway.ends))
    return fake_gateway


def test_waiting_ends_with_the_proof(finished: Any, xraygpt: Run) -> None:
    done = xraygpt("backlog", "s3://b/old/", "--wait", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["proof"] == {"listed": 2, "ended": 2, "differences": []}
    assert "nothing is missing" in done.stderr
    assert finished.bodies("/v1/studies") == [], "what is known is not registered again"


def test_an_object_the_listing_never_saw_is_registered_and_named(finished: Any, xraygpt: Run) -> None:
    finished.ends["s3://b/old/3"] = "received"
    finished.unseen.add("s3://b/old/3")
    done = xraygpt("backlog", "s3://b/old/", "--wait", "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["proof"]["differences"] == [{"source": "s3://b/old/3", "state": "received"}]
    assert finished.bodies("/v1/studies") == [{"objects": [{"uri": "s3://b/old/3"}], "lane": "backlog"}]


def test_a_lane_can_be_asked_for(finished: Any, xraygpt: Run) -> None:
    xraygpt("backlog", "s3://b/old/", "--lane", "routine")
    assert finished.bodies("/v1/backlogs") == [{"uri": "s3://b/old/", "lane": "routine"}]


def test_a_backlog_that_was_resumed_can_be_waited_for(finished: Any, xraygpt: Run) -> None:
    assert json.loads(xraygpt("backlog", "resume", "b", "--wait", "--json").stdout)["state"] == "done"


def test_what_keeps_a_listing_from_going_on_is_said() -> None:
    speed = Speed(Clock())
    speed.note(0)
    line = progress_line(NOW | {"open": 4, "problem": "the bucket refuses (AccessDenied)"}, speed)
    assert line.endswith("; listing stands still: the bucket refuses (AccessDenied)")


def test_a_prefix_below_which_nothing_lies_is_doubted() -> None:
    said: list[str] = []
    proof().show(said.append)
    assert said[0] == "nothing lies there: is the prefix right?"


def test_a_backlog_cancelled_while_it_was_listed_is_not_registered_by_asking_for_it(
    finished: Any, xraygpt: Run
) -> None:
    finished.answers["GET /v1/backlogs/b"] = NOW | {
        "backlog_id": "b",
        "open": 0,
        "state": "cancelled",
        "listed_at": None,
    }
    done = xraygpt("backlog", "s3://b/old/", "--wait", "--json")
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (3, "cancelled")
    assert finished.bodies("/v1/studies") == []


def test_ctrl_c_ends_the_command_and_says_how_to_come_back(
    finished: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backlogs.time, "sleep", interrupted)
    done = xraygpt("backlog", "s3://b/old/", "--wait", "--json")
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (3, "listing")
    assert "xraygpt backlog show b --wait" in done.stderr
    assert finished.bodies("/v1/studies") == []


def test_many_objects_are_counted_for_a_person_by_state_and_reason(finished: Any, xraygpt: Run) -> None:
    finished.ends = {f"s3://b/old/{number}": "summarised" for number in range(60)}
    done = xraygpt("backlog", "s3://b/old/", "--wait")
    assert done.exit_code == 0
    assert "60" in done.stdout
    assert "s3://b/old/7" not in done.stdout


def test_backlogs_are_listed_and_one_is_shown(finished: Any, xraygpt: Run) -> None:
    one = NOW | {"backlog_id": "b", "lane": "backlog", "open": 4, "created_at": SEEN, "problem": None}
    finished.answers["GET /v1/backlogs"] = {"backlogs": [one]}
    assert json.loads(xraygpt("backlog", "list", "--json").stdout) == {"backlogs": [one]}
    assert "listing" in xraygpt("backlog", "list").stdout
    assert json.loads(xraygpt("backlog", "show", "b", "--json").stdout)["backlog_id"] == "b"


def test_a_bucket_that_refuses_to_be_listed_for_the_proof_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYGPT_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("XRAYGPT_S3_ACCESS_KEY", "a")
    monkeypatch.setenv("XRAYGPT_S3_SECRET_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Unavailable, match="must list the bucket"):
        list(backlogs._objects("s3://b/old/", None))


def test_objects_are_compared_a_thousand_at_a_time_and_none_is_kept(finished: Any) -> None:
    finished.ends = {f"s3://b/old/{number}": "summarised" for number in range(2500)}
    taken = 0

    def listed() -> Iterator[tuple[str, str]]:
        nonlocal taken
        for uri in finished.ends:
            taken += 1
            yield uri, "e"

    with Gateway(finished.url, "key") as client:
        rows = compared(client, listed(), "backlog")
        assert next(rows).state == "summarised"
        assert taken == 1000
        assert 1 + sum(1 for _ in rows) == 2500
    assert [len(body["objects"]) for body in finished.bodies("/v1/images/lookup")] == [1000, 1000, 500]


def test_the_document_of_a_backlog_has_a_row_for_each_object(finished: Any, xraygpt: Run) -> None:
    done = json.loads(xraygpt("backlog", "s3://b/old/", "--wait", "--json").stdout)
    assert [(row["source"], row["state"]) for row in done["studies"]] == list(finished.ends.items())
    names = {"study_id", "source", "state", "reason_code", "lane", "summary", "flags", "scope", "consistency"}
    assert set(done["studies"][0]) == names
    assert done["counts"] == {"summarised": 1, "rejected": 1}
    assert done["seconds"] >= 0


def test_the_document_of_an_empty_prefix_has_no_rows(finished: Any, xraygpt: Run) -> None:
    finished.ends = {}
    done = xraygpt("backlog", "s3://b/old/", "--wait", "--json")
    assert json.loads(done.stdout)["studies"] == []
    assert "is the prefix right?" in done.stderr
