"""Questions and answers over HTTP, on real services."""

import json
import threading
from typing import Any

import pytest

from xraygpt_core.states import JobKind

World = Any


def ask(world: World, study_id: str, question: str = "Is the heart enlarged?") -> dict[str, str]:
    answer = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": question})
    assert answer.status_code == 202, answer.text
    turn: dict[str, str] = answer.json()
    return turn


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, without its pings."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_a_question_before_a_summary_is_a_conflict(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    answer = world.client.post(f"/v1/studies/{image['study_id']}/chat", json={"question": "Why?"})
    assert answer.status_code == 409
    assert "no summary yet" in answer.json()["detail"]


def test_a_turn_names_the_summary_it_saw(world: World) -> None:
    study_id, summary_id = world.summarised()
    assert ask(world, study_id)["summary_id"] == summary_id


def test_both_turns_are_in_the_transcript_with_the_notice(world: World) -> None:
    study_id, _ = world.summarised()
    first = ask(world, study_id)
    _, finish = world.write(first["turn_id"])
    finish("No.")
    second = ask(world, study_id, "And the lungs?")
    turns = world.client.get(f"/v1/studies/{study_id}/chat").json()["turns"]
    assert [turn["turn_id"] for turn in turns] == [first["turn_id"], second["turn_id"]]
    assert (turns[0]["answer"], turns[0]["state"]) == ("No.", "done")
    assert (turns[1]["answer"], turns[1]["state"], turns[1]["answered_at"]) == ("", "queued", None)
    assert "not a diagnosis" in turns[0]["notice"]


def test_a_question_that_no_film_answers_is_answered_by_a_rule_and_streams_at_once(world: World) -> None:
    study_id, _ = world.summarised()
    turn_id = ask(world, study_id, "Is the knee fractured?")["turn_id"]
    found = events(world.client.get(f"/v1/turns/{turn_id}/stream").text)
    assert [name for name, _ in found] == ["token", "done"]
    done = found[-1][1]
    assert (done["answered_by"], done["state"], done["scope"]) == ("rule", "done", None)
    assert done["answer"] == "This is a chest X-ray: it does not show the knee."
    with world.ledger.work() as work:
        assert work.rows("SELECT id FROM jobs WHERE kind = 'chat'") == []


@pytest.mark.parametrize("question", ["", "   ", "x" * 2001, "a\x00b"])
def test_an_impossible_question_is_refused(world: World, question: str) -> None:
    study_id, _ = world.summarised()
    answer = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": question})
    assert answer.status_code == 422


def test_a_finished_turn_streams_its_answer_and_ends(world: World) -> None:
    study_id, _ = world.summarised()
    turn_id = ask(world, study_id)["turn_id"]
    _, finish = world.write(turn_id)
    finish("The heart is normal – größe ok.\nReally.")
    answer = world.client.get(f"/v1/turns/{turn_id}/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    (token, said), (done, turn) = events(answer.text)
    assert (token, said) == ("token", {"text": "The heart is normal – größe ok.\nReally."})
    assert done == "done"
    assert turn == world.client.get(f"/v1/turns/{turn_id}").json()


def test_an_answer_is_streamed_while_it_grows(world: World) -> None:
    study_id, _ = world.summarised()
    turn_id = ask(world, study_id)["turn_id"]
    show, finish = world.write(turn_id)
    show("The heart")
    seen = threading.Event()

    def go_on() -> None:
        assert seen.wait(60)
        finish("The heart is normal.")

    worker = threading.Thread(target=go_on)
    worker.start()
    with world.client.stream("GET", f"/v1/turns/{turn_id}/stream") as stream:
        lines = []
        for line in stream.iter_lines():
            lines.append(line)
            if "The heart" in line:
                seen.set()
    worker.join()
    received = events("\n".join(lines))
    tokens = [data["text"] for name, data in received if name == "token"]
    assert tokens[0] == "The heart"
    assert "".join(tokens) == "The heart is normal."
    assert received[-1][0] == "done"


def test_a_dead_turn_ends_its_stream_with_an_error(world: World) -> None:
    study_id, _ = world.summarised()
    turn_id = ask(world, study_id)["turn_id"]
    world.kill(JobKind.CHAT, turn_id)
    answer = world.client.get(f"/v1/turns/{turn_id}/stream")
    assert events(answer.text) == [("error", {"state": "dead"})]
