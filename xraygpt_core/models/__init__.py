"""The tables. ``migrations/`` is their history; a test holds the two equal.

The ledger speaks SQL to them; these definitions are what the schema is compared with.

Patient data stands in one place: the columns ``bucket``, ``key`` of ``object_keys`` (and the prefix of a ``backlogs``
row). No view shows them. ``sealed_numbers`` and ``request_words`` hold some under keys that lie elsewhere. Texts of
people stand in reviews, chat turns and ``training_texts``.
"""

from xraygpt_core.models import (
    audit,
    card,
    chat,
    comparing,
    numbers,
    operations,
    people,
    pipeline,
    reading,
    studies,
    work,
)
from xraygpt_core.models.base import metadata

__all__ = [
    "SCHEMA_VERSION",
    "audit",
    "card",
    "chat",
    "comparing",
    "metadata",
    "numbers",
    "operations",
    "people",
    "pipeline",
    "reading",
    "studies",
    "work",
]

# The newest migration. Processes refuse to work on another; a test holds this equal to migrations/.
SCHEMA_VERSION = "0034"
