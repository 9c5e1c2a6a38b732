"""Which of the texts that are written just now become the current drafts of their studies.

A text is current if its study is still at the revision that it was asked for. In lane stat, where the first frontal
film is drafted before the rest of the study is here, it is also current while a newer revision waits to be settled, and
if that has chosen the same image again: the rest of a study throws no draft away that is right.

No text is current that was made with a film beside it which is not there any more: its study's own lateral, or a film
that still stands as the same patient's prior (:mod:`.compared`). The studies of both are locked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.jobs.kinds import key_sql
from xraygpt_core.ledger.studies.compared import STANDING_PRIOR
from xraygpt_core.ledger.studies.request_words import WORDS_REVISION
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import Lane

# Of a study ``s`` and the revision ``n.revision`` of a summarise job.
_WAITS = f"s.lane_rank = {Lane.STAT.rank} AND s.state = 'waiting' AND n.revision < s.revision"
# It is begun, for nothing newer was asked for.
WAITS_FOR_MORE = f"""
    {_WAITS}
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.kind = 'summarise' AND j.subject = s.id AND j.revision > n.revision)
"""
# It is kept, for nothing newer was written.
_WAITS_STILL = f"""
    {_WAITS} AND NOT EXISTS (
        SELECT FROM summaries m WHERE m.study_id = s.id AND m.superseded_at IS NULL AND m.revision > n.revision)
"""
# Of a study ``s``: a worker is writing about it, with the bundle of this name.
IS_WRITTEN = f"""
    s.lane_rank = {Lane.STAT.rank} AND EXISTS (
        SELECT FROM jobs j WHERE j.kind = 'summarise' AND j.subject = s.id AND j.state = 'running'
          AND j.key = {key_sql("s.id", "j.revision", ":bundle")})
"""

_TEXTS = """
    unnest(CAST(:studies AS uuid[]), CAST(:revisions AS int[]), CAST(:images AS uuid[]), CAST(:laterals AS uuid[]),
           CAST(:bundles AS text[]), CAST(:priors AS uuid[]), CAST(:prior_studies AS uuid[]))
"""
_COLUMNS = "study, revision, image, lateral_id, bundle, prior_id, prior_study"
_LOOK = f"""
    SELECT s.lane_rank, s.revision = n.revision AS due, i.id IS NOT NULL AND {_WAITS_STILL} AS waits,
           (n.lateral_id IS NULL OR l.id IS NOT NULL) AND (n.prior_id IS NULL OR COALESCE(
               {STANDING_PRIOR.format(study="s.id", film="n.prior_id")} = n.prior_study, false)) AS sound
    FROM {_TEXTS} WITH ORDINALITY AS n ({_COLUMNS}, number)
    JOIN studies s ON s.id = n.study
    LEFT JOIN images i ON i.id = n.image AND i.id = s.chosen_image AND i.state = 'accepted'
    LEFT JOIN images l ON l.id = n.lateral_id AND l.study_id = s.id AND l.state = 'accepted'
    ORDER BY n.number
"""

# Jobs that ask for what is written already. One that a worker is just taking is passed over: jobs are locked before
# studies, and these studies are locked already.
_ANSWER = f"""
    UPDATE jobs SET state = 'done', finished_at = clock_timestamp(), not_before = NULL
    WHERE id = ANY (ARRAY(
        SELECT j.id FROM {_TEXTS} AS n ({_COLUMNS})
        JOIN studies s ON s.id = n.study AND s.state = 'queued' AND n.revision < s.revision
             AND s.lane_rank = {Lane.STAT.rank} AND s.chosen_image = n.image
             AND s.chosen_lateral IS NOT DISTINCT FROM n.lateral_id
             AND {WORDS_REVISION.format(study="s.id", image="n.image")} <= n.revision
        JOIN images i ON i.id = n.image AND i.state = 'accepted'
        JOIN jobs j ON j.kind = 'summarise' AND j.key = {key_sql("s.id", "s.revision", "n.bundle")}
        WHERE j.state = 'queued' AND j.not_before IS DISTINCT FROM 'infinity' FOR UPDATE OF j SKIP LOCKED))
    RETURNING subject
"""


@dataclass(frozen=True)
class WrittenText:
    """A text, what it was asked for, and the films beside the chosen one.

    Attributes:
        prior_study: the study of the prior film when that was handed over; it is locked.
    """

    study_id: UUID
    revision: int
    image_id: UUID
    lateral_image: UUID | None
    bundle: str
    prior_image: UUID | None = None
    prior_study: UUID | None = None


@dataclass(frozen=True)
class Standing:
    """What becomes of one text.

    Attributes:
        current: it is the study's current draft from now on.
        ends: the study is summarised with it; else a newer revision is still to be settled.
        sound: the films beside the chosen one are still what they were.
        again: for want of that its study has no current draft, and nothing else is asked for.
    """

    lane_rank: int
    current: bool
    ends: bool
    sound: bool
    again: bool


def standings(work: Work, texts: Sequence[WrittenText]) -> list[Standing]:
    """What becomes of each of these texts, whose studies are locked. Of two of a study the last one is current, and one
    of the study's own revision before any other.
    """
    found = work.rows(_LOOK, _values(texts))
    chosen: dict[UUID, int] = {}
    for number, (text, row) in enumerate(zip(texts, found, strict=True)):
        if row["due"] and row["sound"]:
            chosen[text.study_id] = number
    late = [
        number
        for number, row in enumerate(found)
        if row["sound"] and not row["due"] and row["lane_rank"] == Lane.STAT.rank
    ]
    answered = _answered(work, [texts[number] for number in late if texts[number].study_id not in chosen])
    for number in late:
        study_id = texts[number].study_id
        if found[number]["waits"] or study_id in answered:
            chosen.setdefault(study_id, number)
    return [
        Standing(
            row["lane_rank"],
            current=chosen.get(text.study_id) == number,
            ends=bool(row["due"]) or text.study_id in answered,
            sound=bool(row["sound"]),
            again=bool(row["due"]) and text.study_id not in chosen,
        )
        for number, (text, row) in enumerate(zip(texts, found, strict=True))
    ]


def _answered(work: Work, texts: Sequence[WrittenText]) -> Collection[UUID]:
    """The studies whose newest summarise job asks for one of these texts; those jobs are done with it."""
    return {row["subject"] for row in work.rows(_ANSWER, _values(texts))} if texts else set()


def _values(texts: Sequence[WrittenText]) -> dict[str, Any]:
    return {
        "studies": [text.study_id for text in texts],
        "revisions": [text.revision for text in texts],
        "images": [text.image_id for text in texts],
        "laterals": [text.lateral_image for text in texts],
        "bundles": [text.bundle for text in texts],
        "priors": [text.prior_image for text in texts],
        "prior_studies": [text.prior_study for text in texts],
    }
