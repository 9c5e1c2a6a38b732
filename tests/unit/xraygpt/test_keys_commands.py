"""``xraygpt keys``, against the small gateway: what is asked and what is printed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import Result

from xraygpt import show

Run = Callable[..., Result]

KEYS = [
    {"key_id": "1", "name": "pacs", "replaced_by": "2"},
    {"key_id": "2", "name": "pacs", "replaced_by": None},
    {"key_id": "3", "name": "Dr. R", "replaced_by": None},
]


@pytest.fixture(autouse=True)
def _keys(fake_gateway: Any) -> None:
    more = dict.fromkeys(("kind", "owner", "created_at", "expires_at", "last_used_at", "revoked_at"))
    listed = [one | more | {"roles": ["reader", "lead"], "stat": False} for one in KEYS]
    fake_gateway.answers |= {
        "POST /v1/keys": (201, {"key_id": "4", "key": "xgpt_new"}),
        "GET /v1/keys": {"keys": listed},
        "GET /v1/me": {"key_id": "3"},
        "POST /v1/keys/2/rotate": (201, {"key_id": "5", "key": "xgpt_next"}),
        "POST /v1/keys/3/rotate": (201, {"key_id": "6", "key": "xgpt_own"}),
        "DELETE /v1/keys/1": (204, None),
        "DELETE /v1/keys/2": (204, None),
    }


def test_a_new_key_is_the_one_line_of_the_output(fake_gateway: Any, xraygpt: Run) -> None:
    done = xraygpt("keys", "create", "pacs", "--program", "--role", "service", "--role", "operator", "--stat")
    assert done.stdout == "xgpt_new\n"
    (body,) = fake_gateway.bodies("/v1/keys")
    assert body == {
        "name": "pacs", "kind": "program", "roles": ["service", "operator"], "owner": None, "stat": True,
        "expires_at": None,
    }  # fmt: skip


@pytest.mark.parametrize(("more", "role"), [([], "reader"), (["--program"], "service")])
def test_a_key_without_a_role_gets_the_least_and_says_so(
    fake_gateway: Any, xraygpt: Run, more: list[str], role: str
) -> None:
    done = xraygpt("keys", "create", "x", "--expires", "30", *more)
    (body,) = fake_gateway.bodies("/v1/keys")
    assert body["roles"] == [role]
    assert body["expires_at"] is not None
    assert done.stderr.startswith(f"roles: {role}. For others name them: --role reader --role lead")


def test_the_keys_are_listed_with_what_they_may_do(xraygpt: Run) -> None:
    assert "reader lead" in xraygpt("keys", "list").stdout
    assert [one["key_id"] for one in json.loads(xraygpt("keys", "list", "--json").stdout)["keys"]] == ["1", "2", "3"]


def test_a_name_is_rotated_in_its_newest_key(fake_gateway: Any, xraygpt: Run) -> None:
    assert xraygpt("keys", "rotate", "pacs", "--overlap", "60").stdout == "xgpt_next\n"
    assert fake_gateway.bodies("/v1/keys/2/rotate") == [{"overlap_seconds": 60}]


def test_who_rotates_the_key_in_use_is_told(xraygpt: Run) -> None:
    assert "this command used that key itself" in xraygpt("keys", "rotate", "3").stderr


def test_a_name_is_ended_with_the_keys_it_came_to_replace(fake_gateway: Any, xraygpt: Run) -> None:
    assert json.loads(xraygpt("keys", "revoke", "pacs", "--json").stdout) == {"ended": ["1", "2"]}
    assert xraygpt("keys", "revoke", "nobody").exit_code == 2


def test_at_80_columns_no_name_role_or_date_is_cut(xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "console", lambda: Console(width=80))
    for words in (("keys", "list"), ("keys", "list", "--all")):
        shown = xraygpt(*words).stdout
        assert "reader lead" in shown
        assert "…" not in shown
        assert all(cell_len(line) <= 80 for line in shown.splitlines())
