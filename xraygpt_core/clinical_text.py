"""What was known when a film was asked for: free text of the hospital, and so patient data."""

from dataclasses import dataclass, field, fields

LONGEST = 1000  # letters of each that are kept


@dataclass(frozen=True)
class Clinical:
    """What was known when the film was asked for, in the words of the hospital. None: not given. ``repr`` shows none.

    Attributes:
        prior_report: a radiologist's report of the study before; no text of this system ever stands here.
    """

    indication: str | None = field(default=None, repr=False)
    technique: str | None = field(default=None, repr=False)
    comparison: str | None = field(default=None, repr=False)
    prior_report: str | None = field(default=None, repr=False)

    def before(self, other: "Clinical") -> "Clinical":
        """Each part of these words, or the other's where these have none."""
        return Clinical(**{part.name: getattr(self, part.name) or getattr(other, part.name) for part in fields(self)})


UNKNOWN = Clinical()
