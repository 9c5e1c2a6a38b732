"""Readers at one list, for tests: random acts over HTTP from a seed, and what was answered to each of them."""

import json
import socket
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.support.ledger_tools import do, film, new_summary, rows
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.settle import settle_many
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

_OFTEN = ["list", "sign", "correct"]
ACTS = [*_OFTEN, *_OFTEN, "look", "withdraw", "undo", "claim", "leave", "drop", "drop_half", "repeat", "history"]
HOSTILE = "<img src=x onerror=alert(1)> =cmd|' /C calc'!A0 'quote\" ; DROP TABLE reviews; -- \U0001fac1"


def summarised_studies(ledger: Ledger, count: int) -> list[UUID]:
    """So many summarised studies, written as workers do; each film's SHA-256 is its own."""
    refs = [ObjectRef("source", f"reading/{uuid4().hex}", "e") for _ in range(count)]
    register_objects(ledger, refs, Lane.ROUTINE, actor="test")
    claims = claim_next(ledger, [(JobKind.INGEST, Lane.ROUTINE)], "w", limit=count)
    films = [film(f"study {claim.subject}", normalised_sha256=sha256_of(claim.subject)) for claim in claims]
    complete_ingests(ledger, list(zip(claims, films, strict=True)))
    settle_many(ledger, claim_next(ledger, [(JobKind.SETTLE, Lane.ROUTINE)], "w", limit=count))
    return [draft(ledger) for _ in range(count)]


def draft(ledger: Ledger, bundle: str = "demo") -> UUID:
    """Write the draft that is most urgent; its study."""
    (taken,) = claim_next(ledger, [(JobKind.SUMMARISE, lane) for lane in Lane], "w")
    given = summarise_input(ledger, taken)
    assert given is not None
    complete_summary(ledger, taken, given, new_summary(f"Draft of {given.study_id}.", bundle))
    return given.study_id


def newer_draft(ledger: Ledger, study_id: UUID) -> None:
    """Another bundle's draft takes the place of the one that is read."""
    bundle = f"bundle-{new_id()}"
    do(ledger, "UPDATE installation SET served_bundle = :name", name=bundle)
    assert resummarise(ledger, study_ids=[study_id], bundle=None) == 1
    assert draft(ledger, bundle) == study_id


def sha256_of(image_id: UUID) -> str:
    return image_id.hex * 2


@dataclass
class Sent:
    """A review that was sent, perhaps more than once under its ``key``, and the statuses it was answered with."""

    summary_id: str
    body: dict[str, Any]
    wrong_film: bool
    key: str = field(default_factory=lambda: uuid4().hex)
    statuses: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # of the refusals
    cut: bool = False

    @property
    def taken(self) -> bool:
        return 200 in self.statuses

    @property
    def bytes(self) -> bytes:
        """The same each time it is sent: with other spaces it would be another request."""
        return json.dumps(self.body).encode()


class Reader:
    """A person with a key of their own, and all they did."""

    def __init__(self, url: str, key: str, name: str, studies: Sequence[UUID], chance: Random) -> None:
        self.name, self._studies, self._chance = name, studies, chance
        self._address = (httpx.URL(url).host, httpx.URL(url).port or 80)
        self._client = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=60)
        self._key = key
        self.sent: list[Sent] = []
        self.reads: Counter[str] = Counter()  # of what was answered with 200
        self._seen: list[dict[str, Any]] = []
        self._texts = 0

    def close(self) -> None:
        self._client.close()

    def act_until(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self.act(self._chance.choice(ACTS))

    def act(self, what: str) -> None:
        match what:
            case "list":
                listing = self._chance.choice(["awaiting", "signed", "all"])
                assert self.get(f"/v1/studies?list={listing}&limit=20", "worklist read")["studies"] is not None
            case "history" if self._seen:
                self.get(f"/v1/summaries/{self._chance.choice(self._seen)['summary_id']}/reviews", "reviews read")
            case "repeat" if self.sent:
                self.post(self._chance.choice(self.sent[-20:]))
            case "drop":
                self.post_and_hang_up(self.review(self._chance.choice(["sign", "correct"])))
            case "drop_half":
                self.post_half(self.review("correct"))
            case "sign" | "correct" | "withdraw" | "undo":
                self.post(self.review(what))
            case "claim" | "leave":
                self.claim(self._chance.choice(self._studies), what == "leave")
            case _:
                self.look(self._chance.choice(self._studies))

    def claim(self, study_id: UUID, leave: bool) -> None:
        """Open the study on the desk, or leave it; a colleague who reads it is named and hinders no one."""
        path = f"/v1/studies/{study_id}/reading"
        answer = self._client.delete(path) if leave else self._client.put(path)
        assert answer.status_code == (204 if leave else 200), answer.text

    def get(self, path: str, act: str) -> Any:
        answer = self._client.get(path)
        assert answer.status_code == 200, answer.text
        self.reads[act] += 1
        return answer.json()

    def look(self, study_id: UUID) -> dict[str, Any]:
        """The study as it is now; what was seen is kept, so that an old view may be signed later."""
        found = self.get(f"/v1/studies/{study_id}", "study read")
        (chosen,) = [image["image_id"] for image in found["images"] if image["chosen"]]
        self._seen.append(found["summary"] | {"image_sha256": sha256_of(UUID(chosen))})
        del self._seen[:-30]
        return self._seen[-1]

    def review(self, what: str, seen: dict[str, Any] | None = None) -> Sent:
        """A review of what was just looked at, or of what was seen a while ago; now and then beside a wrong film."""
        at_once = seen is not None
        if seen is None:
            old = self._seen and self._chance.random() < 0.2
            seen = self._chance.choice(self._seen) if old else self.look(self._chance.choice(self._studies))
        body: dict[str, Any] = {"state": "draft", "reason": "The side is wrong."}
        match what:
            case "sign":
                body = {"state": self._chance.choice(["accepted", "rejected"]), "reason": "other: as I read it"}
            case "correct":
                self._texts += 1
                body = {"state": "edited", "text": f"{self.name}, text {self._texts}: {HOSTILE}"}
                body |= {"reason": "As I read it."} if at_once or self._chance.random() < 0.8 else {}
            case "accept":
                body = {"state": "accepted", "reason": "As I read it."}
            case "undo":
                body = {"state": "draft", "undo": True}
        wrong = self._chance.random() < 0.1
        shown = {name: seen[name] for name in ("review_state", "reviewed_at", "superseded_at", "image_sha256")}
        body["seen"] = shown | ({"image_sha256": "f" * 64} if wrong else {})
        self.sent.append(Sent(seen["summary_id"], body, wrong))
        return self.sent[-1]

    def post(self, sent: Sent) -> int:
        if sent.cut:
            return 0
        path = f"/v1/summaries/{sent.summary_id}/review"
        head = {"Idempotency-Key": sent.key, "Content-Type": "application/json"}
        while (answer := self._client.post(path, content=sent.bytes, headers=head)).status_code == 503:
            time.sleep(float(answer.headers["Retry-After"]))  # as every client does that has a key
        assert answer.status_code in {200, 403, 409, 422}, answer.text
        assert not sent.taken or answer.status_code == 200, "what was taken once is answered like that again"
        sent.statuses.append(answer.status_code)
        if answer.status_code == 200:
            self.reads["summary read"] += 1
        else:
            sent.reasons.append(answer.json()["detail"])
        return answer.status_code

    def post_and_hang_up(self, sent: Sent) -> None:
        """Send it whole and be gone before the answer; then ask again, as a page does when the network is back."""
        self._send(self._request(sent))
        self.post(sent)

    def post_half(self, sent: Sent) -> None:
        """The connection breaks in the middle of the request: it never was one."""
        sent.cut = True
        request = self._request(sent)
        self._send(request[: self._chance.randrange(1, len(request))])

    def _request(self, sent: Sent) -> bytes:
        head = [
            f"POST /v1/summaries/{sent.summary_id}/review HTTP/1.1",
            f"Host: {self._address[0]}",
            f"X-API-Key: {self._key}",
            f"Idempotency-Key: {sent.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(sent.bytes)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + sent.bytes

    def _send(self, request: bytes) -> None:
        with suppress(OSError), socket.create_connection(self._address, timeout=30) as connection:
            connection.sendall(request)


def duel(readers: Sequence[Reader], study_id: UUID, chance: Random) -> list[int]:
    """All of them sign what they all saw, within a millisecond; the statuses."""
    acts = [(one, one.review(chance.choice(["accept", "correct"]), one.look(study_id))) for one in readers]
    for _, sent in acts:
        sent.body["seen"]["image_sha256"] = None
        sent.wrong_film = False
    with ThreadPoolExecutor(len(readers)) as pool:
        return list(pool.map(lambda act: act[0].post(act[1]), acts))


def reviews(ledger: Ledger) -> list[dict[str, Any]]:
    return rows(
        ledger,
        "SELECT r.*, m.study_id, i.normalised_sha256 FROM reviews r JOIN summaries m ON m.id = r.summary_id "
        "JOIN images i ON i.id = m.image_id ORDER BY r.summary_id, r.position",
    )
