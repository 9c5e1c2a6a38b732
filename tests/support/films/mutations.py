"""The register of mutations: what each does to a film whose right picture stays known, and why it may be refused."""

from collections.abc import Callable
from dataclasses import dataclass

TABLES, FILES = "tables", "files"


@dataclass(frozen=True)
class Mutation:
    """One kind of fault."""

    name: str
    stage: str  # TABLES: on the draft, before it is encoded; FILES: on the file
    group: str  # two of one group are not combined; "a+b" belongs to both
    fits: Callable
    apply: Callable
    reasons: frozenset  # that would be true of a film with this fault
    legal: bool = False  # not a fault: must come out exact and without a doubt
    survives: bool = False  # nothing is known about the picture; the process must live

    def may_join(self, other):
        """True if the right picture is still known after both."""
        return not set(self.group.split("+")) & set(other.group.split("+"))


REGISTER: dict[str, Mutation] = {}


def of_tables(group, fits=lambda draft: True, reasons=(), **kind):
    """Register ``apply(draft)``."""
    return _register(TABLES, group, fits, reasons, kind)


def of_files(group, fits=lambda draft, file: True, reasons=(), **kind):
    """Register ``apply(draft, file)``."""
    return _register(FILES, group, fits, reasons, kind)


def _register(stage, group, fits, reasons, kind):
    def keep(apply):
        REGISTER[apply.__name__] = Mutation(apply.__name__, stage, group, fits, apply, frozenset(reasons), **kind)
        return apply

    return keep
