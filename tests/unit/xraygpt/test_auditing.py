"""``audit verify`` and ``audit export``: what they ask and print, how they end; and a check without a gateway."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from xraygpt_core.ledger.audit.chain import NOTHING, ChainHead, Seal, ranges_of, row_digest, seal_digest

Run = Callable[..., Result]
AT = "2026-11-29T01:29:04.123456Z"


def chain(*seals: Sequence[int]) -> list[str]:
    """The lines of an export whose seals took these ids."""
    lines, before = [], ChainHead()
    for ids in seals:
        rows = [json.dumps({"id": one, "what": "study read"}) for one in ids]
        digests, written = [row_digest(row) for row in rows], ranges_of(ids)
        position = before.position + 1
        digest = seal_digest(position, AT, written, before.digest, digests)
        made = Seal(position, AT, written, len(ids), digests, before.digest, digest)
        lines += [made.line(), *rows]
        before = made.head
    return lines


def head_of(lines: Sequence[str]) -> str:
    last = [json.loads(line) for line in lines if line.startswith('{"seal"')][-1]
    return f"{last['seal']}:{last['digest']}"


@pytest.fixture
def check(xraygpt: Run, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    def run(lines: Sequence[str], *options: str) -> tuple[int, dict[str, Any]]:
        path = tmp_path / "audit.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        done = xraygpt("audit", "verify", "--file", str(path), "--json", *options)
        return done.exit_code, json.loads(done.stdout)

    return run


Check = Callable[..., tuple[int, dict[str, Any]]]


def test_an_export_proves_itself_where_it_lies(check: Check) -> None:
    lines = chain([1], [2, 4], [3])
    code, said = check(lines, "--head", head_of(lines))
    assert (code, said) == (0, {"problems": [], "ok": True, "head": head_of(lines), "seals": 3, "rows": 4})


@pytest.mark.parametrize(
    ("change", "problem", "rows"),
    [
        (lambda lines: [*lines[:3], lines[3].replace("read", "seen"), *lines[4:]], "row changed", [2]),
        (lambda lines: [*lines[:3], *lines[4:]], "row missing", [2]),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], "row foreign", [2]),
        (lambda lines: [*lines[:2], *lines[5:]], "seal missing", []),
        (lambda lines: [*lines[:2], lines[2].replace(AT[:10], "2026-11-28"), *lines[3:]], "seal changed", []),
        (lambda lines: [lines[2], *lines[3:], *lines[:2]], "seal missing", []),
        (lambda lines: lines[:5], "tail missing", []),
        (lambda lines: [*lines, "[" * 100_000], "line unreadable", []),
        (lambda lines: [*lines, '{"seal": "x"}', "7", "{}"], "line unreadable", []),
    ],
)
def test_what_was_done_to_an_export_is_named(
    check: Check, change: Callable[[list[str]], list[str]], problem: str, rows: list[int]
) -> None:
    lines = chain([1], [2, 3], [4])
    code, said = check(change(lines), "--head", head_of(lines))
    assert (code, said["ok"]) == (3, False)
    assert (problem, rows) in [(one["problem"], one["rows"]) for one in said["problems"]]


def test_a_part_of_an_export_follows_from_what_was_proved_before(check: Check) -> None:
    lines = chain([1], [2, 3], [4])
    assert check(lines[5:])[0] == 0
    assert check(lines[5:], "--base", head_of(lines[:5]))[0] == 0
    code, said = check(lines[5:], "--base", f"2:{NOTHING}")
    assert (code, said["problems"][0]["problem"]) == (3, "chain broken")


def test_a_chain_whose_first_seal_follows_something_is_broken(check: Check) -> None:
    lines = chain([1])
    assert check([lines[0].replace(NOTHING, "a" * 64), lines[1]])[0] == 3


def test_a_head_is_a_position_and_a_digest(xraygpt: Run) -> None:
    done = xraygpt("audit", "verify", "--head", "7")
    assert done.exit_code == 1
    assert "POSITION:DIGEST" in str(done.exception)


def ndjson(*documents: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


VERDICT = {"ok": True, "head": f"2:{NOTHING}", "seals": 2, "rows": 5}


def test_the_gateway_is_asked_and_its_verdict_shown(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/audit/verify"] = ndjson({"position": 2, "last": 2}, VERDICT)
    done = xraygpt("audit", "verify", "--base", f"1:{NOTHING}")
    assert done.exit_code == 0
    assert f"the chain holds: 5 rows in 2 seals, head 2:{NOTHING}" in " ".join(done.stdout.split())
    assert fake_gateway.asked[0].path == f"/v1/audit/verify?base=1%3A{NOTHING}"


def test_problems_are_shown_as_they_come_and_end_with_3(fake_gateway: Any, xraygpt: Run) -> None:
    problem = {"problem": "row changed", "says": "rows of seal 2 are not as they were sealed", "seal": 2}
    fake_gateway.answers["GET /v1/audit/verify"] = ndjson(problem | {"rows": list(range(50))}, VERDICT | {"ok": False})
    done = xraygpt("audit", "verify")
    assert done.exit_code == 3
    assert "row changed: rows of seal 2 are not as they were sealed: 0, 1, 2" in done.stdout
    assert "and 30 more" in done.stdout
    assert "THE CHAIN DOES NOT HOLD" in done.stdout


def test_a_check_without_a_verdict_proves_nothing(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/audit/verify"] = ndjson({"position": 1, "last": 2})
    done = xraygpt("audit", "verify")
    assert done.exit_code == 1
    assert "broke off" in str(done.exception)


def test_an_export_is_what_the_gateway_sent_byte_for_byte(fake_gateway: Any, xraygpt: Run) -> None:
    sent = "".join(f"{line}\n" for line in [*chain([1], [2]), '{"id":  3,  "what": "é"}']).encode()
    fake_gateway.answers["GET /v1/audit"] = sent
    done = xraygpt("audit", "export", "--after", "4", "--since", "2026-11-01T00:00:00Z")
    assert done.stdout_bytes == sent
    assert done.stderr.splitlines()[-1] == "3 rows in 2 seals; next time: --after 2"
    assert fake_gateway.asked[0].path == "/v1/audit?after=4&since=2026-11-01T00%3A00%3A00%2B00%3A00"


def test_an_export_as_one_document(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/audit"] = "".join(f"{line}\n" for line in chain([1, 2])).encode()
    said = json.loads(xraygpt("audit", "export", "--json").stdout)
    assert ([line.get("seal") for line in said["lines"]], said["last"]) == ([1, None, None], 1)
