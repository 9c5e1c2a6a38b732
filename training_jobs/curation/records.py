"""A report as a reader gives it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One report as published.

    Attributes:
        uid: unique in its source.
        patient: who no two splits may share; "" where the source does not say.
        findings, impression: the two sections, white space folded; "" where the report has none.
        indication: why the film was made.
        images: its films, as the source names them.
        where: file, and line where a file has several, for messages.
        broken: why it could not be read; nothing else of it counts then.
    """

    uid: str
    findings: str = ""
    impression: str = ""
    indication: str = ""
    patient: str = ""
    images: tuple[str, ...] = ()
    where: str = ""
    broken: str | None = None


def broken(where: str, why: str) -> Record:
    """The place of a report that cannot be read."""
    return Record(uid=where, where=where, broken=why)
