"""The table of routes and roles, from the routes' signatures. ``python -m api_gateway roles`` prints it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api_gateway.auth import Needs, NeedsOr, caller_of
from xraygpt_core.states import Role

# Routes with another proof than a key or session in the request's head.
_OTHERWISE = {
    ("POST", "/v1/events/sns"): "Amazon SNS, by its signature",
    ("POST", "/v1/session"): "every key, in the body",
}


@dataclass(frozen=True)
class Door:
    """A route and the callers that it admits.

    Attributes:
        roles: a caller needs one of these; if empty, ``others`` says it.
        others: further callers, in words for people.
    """

    method: str
    path: str
    roles: tuple[Role, ...]
    others: str


def doors(routers: Iterable[APIRouter]) -> list[Door]:
    """Every route that the API describes, by path and method."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    found = [
        _door(route, method) for route in routes if route.include_in_schema for method in sorted(route.methods or ())
    ]
    return sorted(found, key=lambda door: (door.path, door.method))


def table(found: Iterable[Door]) -> str:
    """The doors as a table of Markdown."""
    lines = [f"| route | {' | '.join(Role)} | others |", f"|---|{':-:|' * len(Role)}---|"]
    for door in found:
        marks = " | ".join("●" if role in door.roles else "" for role in Role)
        lines.append(f"| `{door.method} {door.path}` | {marks} | {door.others} |")
    return "\n".join(lines) + "\n"


def _door(route: APIRoute, method: str) -> Door:
    calls = list(_calls(route.dependant))
    for call in calls:
        if isinstance(call, Needs):
            return Door(method, route.path, call.roles, "")
        if isinstance(call, NeedsOr):
            return Door(method, route.path, call.roles, f"the {call.token.name.lower()} token")
    others = "every key and session" if caller_of in calls else _OTHERWISE.get((method, route.path), "everybody")
    return Door(method, route.path, (), others)


def _calls(dependant: Dependant) -> Iterator[object]:
    for part in dependant.dependencies:
        yield part.call
        yield from _calls(part)
