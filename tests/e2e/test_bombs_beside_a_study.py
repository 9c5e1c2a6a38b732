"""Ten bombs in the lane stat cost a good study there little: a budget for each header, and turns of senders."""

import statistics
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.e2e.phantom_folder import write_phantoms
from tests.support.films.bombs import bombs

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]


@contextmanager
def sender(stack, name):
    """A client with a key of its own that may ask for stat."""
    made = stack.call("keys", "create", name, "--program", "--role", "service", "--stat")
    assert made.code == 0, made.stderr
    key = {"X-API-Key": made.document["key"]}
    with httpx.Client(base_url=stack.facts["gateway_url"], headers=key, timeout=60) as client:
        yield client


def submit(client, *films):
    objects = [
        {"uri": client.put(f"/v1/uploads/{sha256(film).hexdigest()}", content=film).json()["uri"]} for film in films
    ]
    answer = client.post("/v1/studies", json={"objects": objects, "lane": "stat"})
    assert answer.status_code == 202, answer.text
    return [image["image_id"] for image in answer.json()["images"]]


def states(client, images):
    return [image["state"] for image in client.post("/v1/images/status", json={"image_ids": images}).json()["images"]]


def seconds_until(stack, client, images, ends, what):
    began = time.monotonic()
    stack.wait_until(lambda: set(states(client, images)) <= ends, what, seconds=300)
    return time.monotonic() - began


def test_ten_bombs_in_stat_cost_a_good_study_at_most_twice_its_time(stack, tmp_path: Path) -> None:
    films = [path.read_bytes() for path in write_phantoms(tmp_path, 88_000, 7)]
    with sender(stack, "a clinic") as clinic, sender(stack, "a bomber") as bomber:

        def summarise():
            return seconds_until(
                stack, clinic, submit(clinic, films.pop()), {"summarised"}, "the good study has its text"
            )

        summarise()  # what is loaded once is loaded
        alone, beside = [], []
        for number in range(3):
            alone.append(summarise())
            thrown = submit(bomber, *list(bombs(2**20 + 4096 * number).values())[:10])
            beside.append(summarise())
            seconds_until(stack, bomber, thrown, {"rejected", "summarised"}, "all bombs have ended")
    assert statistics.median(beside) < 2 * statistics.median(alone) + 0.2, (alone, beside)
