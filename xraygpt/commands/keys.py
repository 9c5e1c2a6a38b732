"""``keys``: the API keys of the gateway. The commands need a key with the role admin."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, HelpfulGroup
from xraygpt.connect import gateway
from xraygpt_core.states import KeyKind, Role

keys = typer.Typer(help="API keys: make, list, replace and end them.", cls=HelpfulGroup, no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A key's name, or its id.", metavar="NAME")]
COLUMNS = ("name", "kind", "roles", "stat", "owner", "created_at", "expires_at", "last_used_at", "key_id")
WIDE = 150  # columns of a terminal that all of them need
NARROW = ("name", "kind", "roles", "expires_at", "last_used_at")  # what fits 80 columns


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Its holder: a person's signatures carry this name.", metavar="NAME")],
    role: Annotated[list[Role] | None, typer.Option(help="What it may do; may be repeated.")] = None,
    program: Annotated[bool, typer.Option(help="For a program, which may sign for people whom it names.")] = False,
    owner: Annotated[str | None, typer.Option(help="The person who answers for it.")] = None,
    expires: Annotated[float | None, typer.Option(help="Days until it ends.", metavar="DAYS", min=0.01)] = None,
    stat: Annotated[bool, typer.Option(help="It may ask for the lane stat.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it once. Without --role: a reader's, or a program's (service)."""
    roles = role or [Role.SERVICE if program else Role.READER]
    body = {
        "name": name,
        "kind": KeyKind.PROGRAM if program else KeyKind.PERSON,
        "roles": roles,
        "owner": owner,
        "stat": stat,
        "expires_at": None if expires is None else (datetime.now(UTC) + timedelta(days=expires)).isoformat(),
    }
    with gateway() as client:
        made = client.post("/v1/keys", body)
    if not role:
        show.say(f"roles: {', '.join(roles)}. For others name them: --role {' --role '.join(Role)}")
    _print(made, as_json)


@keys.command("list")
def list_keys(
    ended: Annotated[bool, typer.Option("--all", help="Ended keys, too.")] = False, as_json: AsJson = False
) -> None:
    """List the keys and what they may do; never the keys themselves."""
    with gateway() as client:
        found = client.get("/v1/keys", ended="true" if ended else None)
    narrow = show.console().width < WIDE
    columns = NARROW if narrow else (*COLUMNS, "replaced_by") if ended else COLUMNS
    columns = (*columns, "revoked_at") if ended else columns
    rows = ([_cell(column, one[column], narrow=narrow) for column in columns] for one in found["keys"])
    show.listing(found, columns, rows, as_json=as_json)


@keys.command("rotate")
def rotate(
    name: Name,
    overlap: Annotated[int, typer.Option(help="How long the old key still works.", metavar="SECONDS", min=0)] = 86400,
    as_json: AsJson = False,
) -> None:
    """Make a key in place of another, with its name, roles and owner, and print it once."""
    with gateway() as client:
        own = client.get("/v1/me")["key_id"]
        key = _named(client, name)[-1]
        made = client.post(f"/v1/keys/{key['key_id']}/rotate", {"overlap_seconds": overlap})
    if own == key["key_id"]:
        show.say(f"this command used that key itself: put the new one in its place within {overlap} s")
    _print(made, as_json)


@keys.command("revoke")
def revoke(name: Name, as_json: AsJson = False) -> None:
    """End a key at once, with its sessions and streams, and the keys that it replaced."""
    with gateway() as client:
        ended = [one["key_id"] for one in _named(client, name)]
        for key_id in ended:
            client.delete(f"/v1/keys/{key_id}")
    show.answer({"ended": ended}, f"ended: {len(ended)}", as_json=as_json)


def _named(client: Gateway, name: str) -> list[dict[str, Any]]:
    """The valid keys of this name or id; replaced ones first."""
    found = [one for one in client.get("/v1/keys")["keys"] if name in (one["name"], one["key_id"])]
    if not found:
        raise typer.BadParameter("there is no valid key of this name: `xraygpt keys list` shows them")
    return sorted(found, key=lambda one: one["replaced_by"] is None)


def _cell(column: str, value: Any, *, narrow: bool) -> Any:
    """Roles as words, moments to the minute (UTC), or to the day where there is little room."""
    if column == "roles":
        return " ".join(value)
    return value[: 10 if narrow else 16].replace("T", " ") if value and column.endswith("_at") else value


def _print(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show.document(made)
    else:
        print(made["key"])  # the only line on stdout
