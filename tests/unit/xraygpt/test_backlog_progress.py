"""The commands that follow, list and show a backlog."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import Result

from tests.support.backlog_answer import NOW
from xraygpt.backlog_progress import compared
from xraygpt.client import Gateway
from xraygpt.commands import backlogs
from xraygpt_core.errors import Unavailable

Run = Callable[..., Result]


SEEN = "2026-01-01T00:00:00Z"


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
        "POST /v1/backlogs": (202, {"backlog_id": "01a22344-2e7d-72e2-a1b2-0123456789ab"}),
        "GET /v1/backlogs/01a22344-2e7d-72e2-a1b2-0123456789ab": lambda _: (
            NOW
            | {"backlog_id": "01a22344-2e7d-72e2-a1b2-0123456789ab", "open": 4, "state": next(looks), "listed_at": SEEN}
        ),
        "POST /v1/backlogs/01a22344-2e7d-72e2-a1b2-0123456789ab/resume": NOW
        | {"backlog_id": "01a22344-2e7d-72e2-a1b2-0123456789ab", "open": 4},
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
    assert (
        json.loads(xraygpt("backlog", "resume", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--wait", "--json").stdout)[
            "state"
        ]
        == "done"
    )


def test_a_backlog_cancelled_while_it_was_listed_is_not_registered_by_asking_for_it(
    finished: Any, xraygpt: Run
) -> None:
    finished.answers["GET /v1/backlogs/01a22344-2e7d-72e2-a1b2-0123456789ab"] = NOW | {
        "backlog_id": "01a22344-2e7d-72e2-a1b2-0123456789ab",
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
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (130, "listing")
    assert "xraygpt backlog show 789ab --wait" in done.stderr
    assert finished.bodies("/v1/studies") == []


def test_many_objects_are_counted_for_a_person_by_state_and_reason(finished: Any, xraygpt: Run) -> None:
    finished.ends = {f"s3://b/old/{number}": "summarised" for number in range(60)}
    done = xraygpt("backlog", "s3://b/old/", "--wait")
    assert done.exit_code == 0
    assert "60" in done.stdout
    assert "s3://b/old/7" not in done.stdout


ID = "01a22344-2e7d-72e2-a1b2-0123456789ab"


OTHER = "01a22344-2e7d-72e2-a1b2-9876543789ab"


def listed(backlog_id: str, problem: str | None = None) -> dict[str, Any]:
    """A backlog as the gateway lists it."""
    return NOW | {
        "backlog_id": backlog_id,
        "lane": "backlog",
        "listed": 1_000_000,
        "registered": 1_000_000,
        "open": 4,
        "created_at": "2026-11-21T08:15:00.123Z",
        "problem": problem,
    }


def test_backlogs_are_listed_and_one_is_shown(finished: Any, xraygpt: Run) -> None:
    finished.answers["GET /v1/backlogs"] = {"backlogs": [listed(ID)]}
    assert json.loads(xraygpt("backlog", "list", "--json").stdout) == {"backlogs": [listed(ID)]}
    assert json.loads(xraygpt("backlog", "show", ID, "--json").stdout)["backlog_id"] == ID


def test_where_there_is_no_backlog_a_sentence_says_how_one_begins(finished: Any, xraygpt: Run) -> None:
    finished.answers["GET /v1/backlogs"] = {"backlogs": []}
    done = xraygpt("backlog", "list")
    assert (done.stdout, done.stderr) == ("", "there is no backlog: `xraygpt backlog s3://BUCKET/PREFIX/` begins one\n")


def test_on_a_terminal_of_80_columns_each_backlog_has_a_handle_that_can_be_copied_and_nothing_is_cut(
    finished: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    problem = "the bucket does not answer (ConnectTimeout) since ten minutes: is its address right, and its door open?"
    finished.answers["GET /v1/backlogs"] = {"backlogs": [listed(ID, problem), listed(OTHER)]}
    finished.ids = [ID, OTHER]
    shown = xraygpt("backlog", "list").stdout
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.replace("│", " ").split())
    assert "6789ab listing 1000000 1000000 4 0 2026-11-21 08:15" in words
    assert f"6789ab: {problem}" in words
    assert "3789ab listing" in words
    finished.answers[f"GET /v1/backlogs/{OTHER}"] = listed(OTHER)
    assert json.loads(xraygpt("backlog", "show", "3789ab", "--json").stdout)["backlog_id"] == OTHER


def test_where_a_program_reads_the_list_ids_are_whole(finished: Any, xraygpt: Run) -> None:
    finished.answers["GET /v1/backlogs"] = {"backlogs": [listed(ID, "no key")]}
    shown = xraygpt("backlog", "list").stdout
    assert ID in shown
    assert "no key" in shown
    assert "…" not in shown


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
    assert set(done["studies"][0]) == names | {"image_id", "view", "seconds", "known", "summary_id"}
    assert done["counts"] == {"summarised": 1, "rejected": 1}
    assert done["seconds"] >= 0


def test_the_document_of_an_empty_prefix_has_no_rows(finished: Any, xraygpt: Run) -> None:
    finished.ends = {}
    done = xraygpt("backlog", "s3://b/old/", "--wait", "--json")
    assert json.loads(done.stdout)["studies"] == []
    assert "is the prefix right?" in done.stderr
