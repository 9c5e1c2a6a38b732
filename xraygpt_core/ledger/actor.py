"""The actor of a transaction, for the audit."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Actor:
    """A person, a program or a part of the system, as the audit keeps it.

    Attributes:
        name: of the key or person, or of the part of the system that acts by itself (``webhook``, ``control`` …).
        key_id: of the API key; None for a part of the system.
        session_id: of the session the key or a login opened; None for a bare key.
        address: where the request came from; None inside the system.
    """

    name: str
    key_id: UUID | None = None
    session_id: UUID | None = None
    address: str | None = None
