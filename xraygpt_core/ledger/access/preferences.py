"""How a person wants the pages: in which language, in which colours.

It stands here and follows the person to every machine, because the browser keeps nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

from xraygpt_core.ledger.transaction import Ledger


class Language(StrEnum):
    """A language of the pages, as in BCP 47. A draft stays in the model's own."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"


class Theme(StrEnum):
    """The pages' colours."""

    DARK = "dark"
    LIGHT = "light"


@dataclass(frozen=True)
class Preferences:
    """What a person chose; None: as the browser does."""

    language: Language | None = None
    theme: Theme | None = None


_READ = "SELECT language, theme FROM preferences WHERE person = :person"
_WRITE = """
    INSERT INTO preferences (person, language, theme) VALUES (:person, :language, :theme)
    ON CONFLICT (person) DO UPDATE SET language = excluded.language, theme = excluded.theme
"""


def preferences(ledger: Ledger, person: str) -> Preferences:
    """What this person chose. A choice that this version does not know counts as none."""
    with ledger.work() as work:
        row = work.row(_READ, {"person": person})
    if row is None:
        return Preferences()
    language, theme = row["language"], row["theme"]
    return Preferences(
        Language(language) if language in set(Language) else None, Theme(theme) if theme in set(Theme) else None
    )


def prefer(ledger: Ledger, person: str, wanted: Preferences) -> None:
    """Keep what this person chose, in the place of what they chose before."""
    with ledger.work() as work:
        work.run(_WRITE, {"person": person, "language": wanted.language, "theme": wanted.theme})
