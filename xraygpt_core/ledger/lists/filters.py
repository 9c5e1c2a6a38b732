"""What a list is narrowed to. A filter is a condition on a row, and mostly a source: an index that finds its rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from xraygpt_core.ledger.card.study_state import STUDY_STATE
from xraygpt_core.ledger.lists.assign import Reader
from xraygpt_core.ledger.lists.orders import Order, Sorting, WorklistView
from xraygpt_core.states import Flag, Lane, ReviewState, StudyState

_MOST_WORDS = 16
# What must be written so that PostgreSQL takes the index ix_summaries_words.
_WORDS = "to_tsvector('simple', COALESCE(m.edited_summary, m.summary)) @@ to_tsquery('simple', :words)"
_LISTED = {
    WorklistView.AWAITING: "m.review_state = 'draft'",
    WorklistView.SIGNED: "m.review_state <> 'draft'",
}
_KINDS = {
    WorklistView.AWAITING: {ReviewState.DRAFT},
    WorklistView.SIGNED: {ReviewState.ACCEPTED, ReviewState.EDITED, ReviewState.REJECTED},
}
# The same as the indexes ix_summaries_awaiting and ix_summaries_reviewed find it.
_INDEXED = {
    WorklistView.AWAITING: "m.review_state = 'draft' AND m.lane_rank BETWEEN :low AND :high",
    WorklistView.SIGNED: "m.review_state <> 'draft' AND m.review_state IN ('accepted', 'edited', 'rejected') "
    "AND m.lane_rank BETWEEN :low AND :high",
}


@dataclass(frozen=True)
class Filters:
    """Show only studies to which all of these apply; None and nothing apply to all.

    Attributes:
        findings, uncertain: that the text as it stands names, every one of them; a rejected text names none.
        text: words, or beginnings of words, that the text as it stands has, in any order.
        received_from, received_until: from this moment on, and before that one.
        acquired_from, acquired_until: days, both included; a study without a day is not shown.
        mine: the person to whom a study is assigned, by name, or from whom a signature on it was taken back.
    """

    lane: Lane | None = None
    states: Sequence[StudyState] = ()
    reviews: Sequence[ReviewState] = ()
    findings: Sequence[str] = ()
    uncertain: Sequence[str] = ()
    views: Sequence[str] = ()
    flags: Sequence[Flag] = ()
    bundle: str | None = None
    reviewer: str | None = None
    text: str | None = None
    received_from: datetime | None = None
    received_until: datetime | None = None
    acquired_from: date | None = None
    acquired_until: date | None = None
    mine: Reader | None = None

    @property
    def words(self) -> str | None:
        """The text as PostgreSQL's query: every word, or a word that begins with it. None if there is no word in it."""
        parts = [re.sub(r"[\\']", " ", part) for part in (self.text or "").split()]
        words = [word for part in parts for word in part.split() if re.search(r"[^\W_]", word)]
        return " & ".join(f"'{word}':*" for word in words[:_MOST_WORDS]) or None

    def values(self, sorting: Sorting) -> dict[str, Any]:
        """What the statements' names stand for."""
        return {
            "low": 0 if self.lane is None else self.lane.rank,
            "high": len(Lane) - 1 if self.lane is None else self.lane.rank,
            "states": list(self.states),
            "reviews": list(self.reviews),
            "findings": list(self.findings),
            "uncertain": list(self.uncertain),
            "views": list(self.views),
            "flags": list(self.flags),
            "flag": self.flags[0] if self.flags else None,
            "bundle": self.bundle,
            "reviewer": self.reviewer,
            "words": self.words,
            "received_from": self.received_from or "-infinity",
            "received_until": self.received_until or "infinity",
            "acquired_from": self.acquired_from or "-infinity",
            "acquired_until": self.acquired_until or "infinity",
            "reader": None if self.mine is None else self.mine.name,
            "reader_key": None if self.mine is None else self.mine.key_id,
            "start_id": sorting.start.id,
        }

    @property
    def by_day(self) -> bool:
        """Whether the day of acquisition counts."""
        return self.acquired_from is not None or self.acquired_until is not None

    def conditions(self, listing: WorklistView) -> str:
        """What must hold of the study s, its summary m, its chosen image i and its assignment a."""
        found = [
            "s.alias_of IS NULL AND s.purged_at IS NULL AND s.lane_rank BETWEEN :low AND :high",
            _LISTED.get(listing),
            *self._of_text(),
            *self._of_study(),
            self.flags and "s.flags || COALESCE(m.flags, '{}') @> CAST(:flags AS text[])",
            self.states and f"{STUDY_STATE} = ANY(CAST(:states AS text[]))",
            self.by_day and "i.acquired_on BETWEEN CAST(:acquired_from AS date) AND CAST(:acquired_until AS date)",
            self.mine is not None and f"(a.name = :reader OR {_WITHDRAWN})",
        ]
        return "\n      AND ".join(one for one in found if one)

    def _of_text(self) -> list[str]:
        found = [
            self.reviews and "m.review_state = ANY(CAST(:reviews AS text[]))",
            self.findings and "m.asserted <> '{}' AND m.asserted @> CAST(:findings AS text[])",
            self.uncertain and "m.uncertain <> '{}' AND m.uncertain @> CAST(:uncertain AS text[])",
            self.bundle is not None and "m.bundle = :bundle",
            self.reviewer is not None and "m.review_state <> 'draft' AND m.reviewed_by = :reviewer",
            self.words is not None and _WORDS,
        ]
        return [one for one in found if isinstance(one, str)]

    def _of_study(self) -> list[str]:
        found = [
            self.views and "s.view = ANY(CAST(:views AS text[]))",
            (self.received_from or self.received_until)
            and "s.received_at >= CAST(:received_from AS timestamptz) "
            "AND s.received_at < CAST(:received_until AS timestamptz)",
        ]
        return [one for one in found if isinstance(one, str)]

    def sources(self, listing: WorklistView, sorting: Sorting) -> list["Source"]:
        """What finds rows of this list without going through its order: nothing, where the order alone decides."""
        text, study = self._of_text(), self._of_study()
        if self.lane is not None and listing is WorklistView.ALL:
            study.append("s.lane_rank BETWEEN :low AND :high")
        by_order = sorting.order in (Order.URGENCY, Order.SIGNED) and not (text or study or self._elsewhere)
        if self.lane is not None and listing is WorklistView.SIGNED:
            by_order = False
        if listing in _INDEXED and not by_order:
            text.append(_INDEXED[listing])
        gin = [one for one in text if "@" in one]
        current = "SELECT m.study_id FROM summaries m WHERE m.superseded_at IS NULL AND"
        if self.reviews and listing in _KINDS and not _KINDS[listing].intersection(self.reviews):
            return [Source("SELECT CAST(NULL AS uuid) AS study_id WHERE false")]
        found = [
            self.mine is not None and Source(_MINE),
            text and (_by_gin(gin, text) if gin else Source(f"{current} {_all(text)}")),
            self.by_day and Source(_BY_DAY),
            self.flags and Source(_BY_FLAG, gin=True),
            study and Source(f"SELECT s.id AS study_id FROM studies s WHERE {_all(study)}"),
        ]
        return [one for one in found if isinstance(one, Source)]

    @property
    def _elsewhere(self) -> bool:
        """Whether something else than the study and its text is asked for."""
        return bool(self.flags or self.by_day or self.mine is not None)


@dataclass(frozen=True)
class Source:
    """A query of study ids.

    Attributes:
        gin: by an index that only gives all rows of a value at once.
        fits: what the index does not know, and its rows are looked at for.
    """

    sql: str
    gin: bool = False
    fits: str = "true"


# The summary m is a draft again because another person said so, and this one had signed it.
_WITHDRAWN = """(
    m.superseded_at IS NULL AND m.review_state = 'draft' AND m.reviewed_at IS NOT NULL
    AND EXISTS (SELECT FROM reviews v WHERE v.summary_id = m.id AND v.key_id = CAST(:reader_key AS uuid)
                AND v.reviewer = :reader AND v.action NOT IN ('draft', 'undone'))
    AND (SELECT v.action = 'draft' AND v.key_id IS DISTINCT FROM CAST(:reader_key AS uuid) FROM reviews v
         WHERE v.summary_id = m.id ORDER BY v.position DESC LIMIT 1))
"""
# The second by the index ix_summaries_withdrawn.
_MINE = f"""
    SELECT a.study_id FROM assignments a WHERE a.name = :reader
    UNION ALL SELECT m.study_id FROM summaries m WHERE {_WITHDRAWN}
"""
_BY_DAY = """
    SELECT i.study_id FROM images i WHERE i.acquired_on IS NOT NULL
    AND i.acquired_on BETWEEN CAST(:acquired_from AS date) AND CAST(:acquired_until AS date)
"""
# A flag is the film's, or its text's.
_BY_FLAG = """
    SELECT s.id AS study_id FROM studies s WHERE s.flags <> '{}' AND s.flags @> ARRAY[CAST(:flag AS text)]
    UNION ALL
    SELECT m.study_id FROM summaries m
    WHERE m.superseded_at IS NULL AND m.flags <> '{}' AND m.flags @> ARRAY[CAST(:flag AS text)]
"""


def _by_gin(indexed: Sequence[str], text: Sequence[str]) -> Source:
    others = [one for one in text if one not in indexed]
    sql = f"SELECT m.* FROM summaries m WHERE m.superseded_at IS NULL AND {_all(indexed)}"
    return Source(sql, gin=True, fits=_all(others) or "true")


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions)
