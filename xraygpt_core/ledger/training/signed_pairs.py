"""Signed-off studies as pairs of film and text: what a radiologist signed is what the model shall write.

One pair a study: the newest signature that stands. Nothing is left of a purged study, and a review that was taken back
is no signature. Left out, and counted: studies excluded from training, films that were replaced or are in another study
now, rejections, films with a doubt of :data:`xraygpt_core.states.DOUBTS` (also ``out_of_scope``) that the selection
does not take, signed texts without words, and a film that was signed in another study, too.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.training.files import note_used
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import DOUBTS
from xraygpt_core.training.mixture import SetSpec
from xraygpt_core.training.pairs import Pair
from xraygpt_core.training.selection import Selection, parse_selection

SET_NAME = "signed studies"
_PAGE = 500  # pairs read at once

# The newest first, so that a limit takes these. Their ids alone: no index has them in this order.
_SIGNED = """
    SELECT id FROM summaries
    WHERE review_state IN ('accepted', 'edited') AND reviewed_at >= :since
      AND (CAST(:until AS timestamptz) IS NULL OR reviewed_at < :until)
      AND (CAST(:bundle AS text) IS NULL OR bundle = :bundle)
    ORDER BY reviewed_at DESC, id DESC
"""
_ROWS = """
    SELECT m.id, m.study_id, m.summary, m.edited_summary, m.flags AS text_flags,
           i.state AS image_state, i.study_id = m.study_id AS same_study, i.view, i.flags AS image_flags,
           i.normalised_key, i.normalised_sha256, s.flags AS study_flags,
           COALESCE(s.patient_id_pseudonym, s.patient_pseudonym) AS patient,
           EXISTS (SELECT FROM training_exclusions e
                   WHERE e.study_id = s.id OR m.image_id = ANY (e.image_ids)
                      OR e.study_id = ANY (ARRAY(SELECT a.id FROM studies a WHERE a.alias_of = s.id))) AS excluded
    FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS wanted (id, place)
    JOIN summaries m ON m.id = wanted.id JOIN studies s ON s.id = m.study_id JOIN images i ON i.id = m.image_id
    WHERE m.review_state IN ('accepted', 'edited') ORDER BY wanted.place
"""
_REJECTED = "SELECT count(*) AS found FROM summaries WHERE review_state = 'rejected' AND reviewed_at >= :since"


class LeftOut(StrEnum):
    """Why a signed study is given to no run."""

    EXCLUDED = "excluded"  # a person excluded it from training
    FILM_GONE = "film_gone"  # its film was replaced, or is in another study now
    DOUBTFUL = "doubtful"  # a flag says that the film or its draft may be wrong, or out of the model's scope
    OLDER = "older_signature"  # a newer signature of the same study counts
    OTHER_STATE = "other_state"  # the selection asks for accepted ones alone, or for corrected ones
    OTHER_VIEW = "other_view"  # the selection asks for another view
    NO_WORDS = "no_words"  # what was signed says nothing
    SAME_FILM = "same_film"  # the same film was signed in another study, and counts there
    REJECTED = "rejected"  # a radiologist signed that the draft is wrong


class SignedPairs:
    """The pairs of a selection, to be gone through once; what was left out so far is counted in ``left_out``.

    A pair's id is its summary's, its patient a hash of the pseudonym that stands in no other place. A patient is in
    one split, and stays in it whatever else is selected: so a model that goes on from another was not trained on what
    it is measured on.

    Args:
        run_id: the run that is given them; if one of its studies is purged later, the run's files are, too.
        validation, test: the shares of patients that are kept back.
    """

    def __init__(
        self,
        ledger: Ledger,
        selection: Selection,
        *,
        run_id: UUID | None = None,
        set_name: str = SET_NAME,
        validation: float = 0.05,
        test: float = 0.05,
    ) -> None:
        self.left_out: Counter[LeftOut] = Counter()
        self._ledger = ledger
        self._selection = selection
        self._run_id = run_id
        self._set_name = set_name
        self._shares = (test, test + validation)
        self._studies: set[UUID] = set()
        self._films: set[str] = set()

    @property
    def reasons(self) -> dict[str, int]:
        """What was left out so far, by reason."""
        return {str(why): count for why, count in sorted(self.left_out.items()) if count}

    def __iter__(self) -> Iterator[Pair]:
        given = 0
        for page in self._pages():
            pairs = [(row, self._pair(row)) for row in page if self._counts(row)]
            if (limit := self._selection.limit) is not None:
                pairs = pairs[: limit - given]
            if self._run_id is not None:
                note_used(self._ledger, self._run_id, [row["study_id"] for row, _ in pairs])
            given += len(pairs)
            yield from (pair for _, pair in pairs)
            if given == limit:
                return

    def _pages(self) -> Iterator[list[RowMapping]]:
        chosen = self._selection
        values: dict[str, Any] = {"since": _midnight(chosen.since), "until": None, "bundle": chosen.bundle}
        if chosen.until is not None:
            values["until"] = _midnight(chosen.until)
        with self._ledger.work() as work:
            rejected = work.row(_REJECTED, values)
            ids = [row["id"] for row in work.rows(_SIGNED, values)]
        self.left_out[LeftOut.REJECTED] += rejected["found"] if rejected else 0
        for begin in range(0, len(ids), _PAGE):
            with self._ledger.work() as work:
                work.by_index()
                page = list(work.rows(_ROWS, {"ids": ids[begin : begin + _PAGE]}))
            yield page  # its reader may write meanwhile

    def _counts(self, row: RowMapping) -> bool:
        """Whether the run is given it; if not, why not is counted."""
        why = self._why_not(row)
        if why is None:
            self._films.add(row["normalised_sha256"])
        else:
            self.left_out[why] += 1
        return why is None

    def _why_not(self, row: RowMapping) -> LeftOut | None:
        # A study's newest signature counts, or none: an older one was overtaken by it.
        if row["study_id"] in self._studies:
            return LeftOut.OLDER
        self._studies.add(row["study_id"])
        if row["excluded"]:
            return LeftOut.EXCLUDED
        if not (row["same_study"] and row["image_state"] == "accepted" and row["normalised_key"]):
            return LeftOut.FILM_GONE
        if (DOUBTS - self._selection.taken) & {*row["text_flags"], *row["image_flags"], *row["study_flags"]}:
            return LeftOut.DOUBTFUL
        if self._selection.state is not None and (row["edited_summary"] is None) == (self._selection.state == "edited"):
            return LeftOut.OTHER_STATE
        if self._selection.view is not None and row["view"] != self._selection.view:
            return LeftOut.OTHER_VIEW
        if not _text(row).strip():
            return LeftOut.NO_WORDS
        return LeftOut.SAME_FILM if row["normalised_sha256"] in self._films else None

    def _pair(self, row: RowMapping) -> Pair:
        patient = _hashed("patient", row["patient"] or f"study {row['study_id']}")
        return Pair(
            pair_id=str(row["id"]),
            set_name=self._set_name,
            patient=patient,
            split=self._split(patient),
            image=row["normalised_sha256"],
            text=_text(row),
            view=row["view"] if row["view"] in ("AP", "PA", "LATERAL") else None,
            draft=row["summary"] if row["edited_summary"] is not None else None,
            key=row["normalised_key"],
        )

    def _split(self, patient: str) -> str:
        drawn = int(_hashed("split", patient)[:8], 16) / 2**32
        test, kept = self._shares
        return "test" if drawn < test else "val" if drawn < kept else "train"


def signed_pairs(
    ledger: Ledger, selection: str, *, run_id: UUID | None = None, validation: float = 0.05, test: float = 0.05
) -> SignedPairs:
    """The signed studies that these words select (:mod:`xraygpt_core.training.selection`).

    Raises:
        TrainingError: the words are none of a selection.
    """
    return SignedPairs(ledger, parse_selection(selection), run_id=run_id, validation=validation, test=test)


def signed_of_set(ledger: Ledger, spec: SetSpec, run_id: UUID) -> SignedPairs:
    """The signed studies that a set of a run's mixture selects; it keeps which studies the run is given.

    Raises:
        TrainingError: as :func:`signed_pairs`.
    """
    selection = parse_selection(spec.select or "")
    return SignedPairs(ledger, selection, run_id=run_id, set_name=spec.name, validation=spec.validation, test=spec.test)


def _text(row: RowMapping) -> str:
    text: str = row["summary"] if row["edited_summary"] is None else row["edited_summary"]
    return text


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time(), UTC)


def _hashed(what: str, value: str) -> str:
    return hashlib.sha256(f"training {what}|{value}".encode()).hexdigest()[:32]
