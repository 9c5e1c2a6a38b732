"""Settings that are on or off, as a shell writes them and as pydantic reads them."""

from collections.abc import Mapping

_ON = frozenset(("1", "true", "yes", "on", "t", "y"))


def is_on(environ: Mapping[str, str], name: str) -> bool:
    """Whether a variable switches something on."""
    return environ.get(name, "").lower() in _ON
