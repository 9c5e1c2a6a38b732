"""What a caller may do, in a word for each: from the routes' own signatures, so that no second table says it."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from api_gateway.roles import Door
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.states import Role


class Act(StrEnum):
    """An act that a page offers, or leaves out."""

    READ = "read"
    FIND = "find"
    ASK = "ask"
    SIGN = "sign"
    WITHDRAW = "withdraw"  # another person's signature
    NUMBERS = "numbers"
    READERS = "readers"
    CANCEL = "cancel"
    AGAIN = "summarise again"
    SUBMIT = "submit"
    BACKLOGS = "backlogs"
    REPLAY = "replay"
    QUERY = "query"
    PURGE = "purge"
    KEYS = "keys"
    AUDIT = "audit"
    SERVE = "serve models"
    WATCH_RUNS = "watch training"
    TRAIN = "train"


_ROUTES: Mapping[Act, tuple[str, str]] = {
    Act.READ: ("GET", "/v1/studies"),
    Act.FIND: ("POST", "/v1/lookup"),
    Act.ASK: ("POST", "/v1/studies/{study_id}/chat"),
    Act.SIGN: ("POST", "/v1/summaries/{summary_id}/review"),
    Act.NUMBERS: ("GET", "/v1/studies/{study_id}/numbers"),
    Act.READERS: ("GET", "/v1/studies/{study_id}/readers"),
    Act.CANCEL: ("POST", "/v1/studies/{study_id}/cancel"),
    Act.AGAIN: ("POST", "/v1/resummarise"),
    Act.SUBMIT: ("POST", "/v1/studies"),
    Act.BACKLOGS: ("POST", "/v1/backlogs"),
    Act.REPLAY: ("POST", "/v1/dead/replay"),
    Act.QUERY: ("POST", "/v1/query"),
    Act.PURGE: ("DELETE", "/v1/studies/{study_id}"),
    Act.KEYS: ("GET", "/v1/keys"),
    Act.AUDIT: ("GET", "/v1/audit"),
    Act.SERVE: ("POST", "/v1/bundles/serve"),
    Act.WATCH_RUNS: ("GET", "/v1/training-runs"),
    Act.TRAIN: ("POST", "/v1/training-runs"),
}
# One route for all who sign; the ledger asks who signed (ledger/studies/review.py).
_WITHDRAWS = frozenset({Role.LEAD})


class Acts:
    """What each role may do here.

    Args:
        numbers: whether this installation keeps numbers.
    """

    def __init__(self, doors: Iterable[Door], *, numbers: bool) -> None:
        roles = {(door.method, door.path): frozenset(door.roles) for door in doors}
        by_act = {act: roles[route] for act, route in _ROUTES.items()} | {Act.WITHDRAW: _WITHDRAWS}
        self._roles = {act: by_act[act] for act in Act if numbers or act is not Act.NUMBERS}

    def of(self, caller: ApiKey) -> list[Act]:
        """What this caller may do, in the order of :class:`Act`."""
        return [act for act, roles in self._roles.items() if caller.has(*roles)]
