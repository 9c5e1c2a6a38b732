"""A comparison begins: its films are chosen once, and the same question asked again goes on with them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.orders import Order, Sorting, WorklistView
from xraygpt_core.ledger.lists.worklist import worklist
from xraygpt_core.ledger.studies.companions import companions
from xraygpt_core.ledger.studies.request_words import NEWEST_WORDS
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ImageRole

MOST = 1000  # studies of one comparison
_PAGE = 200
_NEWEST = Sorting(Order.RECEIVED, descending=True)
_EMPTY_PAGES = 50  # one after the other, of up to 2000 studies each: then the search ends


@dataclass(frozen=True)
class NamedBundle:
    """A bundle by its name and by the hash of its ``bundle.toml``, 64 hex digits.

    Attributes:
        images: the films of a study that it looks at. clinical: it reads the hospital's words about them.
    """

    name: str
    sha256: str
    images: frozenset[ImageRole] = frozenset({ImageRole.FRONTAL})
    clinical: bool = False


@dataclass(frozen=True)
class Question:
    """What is compared on what.

    Attributes:
        listing, filters: which studies, the newest arrival first, ``limit`` of them at most.
        chosen: the same in the words of the request, to be kept with it.
        asked: 64 hex digits that the same question has again.
    """

    first: NamedBundle
    second: NamedBundle
    listing: WorklistView
    filters: Filters
    limit: int
    chosen: dict[str, Any]
    asked: str

    def __post_init__(self) -> None:
        if self.first.sha256 == self.second.sha256 or self.first.name == self.second.name:
            raise InvalidRequest("the two bundles are one, or have one name: compare two that differ in both")


@dataclass(frozen=True)
class OpenText:
    """A text that is still to be written: about this film, whose normalised form has this SHA-256.

    Attributes:
        beside: what the bundle is shown beside it: ``lateral`` and ``prior`` (``study_id``, ``image_id``, ``sha256``),
            and the hashes of sealed words (``clinical_sha256`` of the header's, ``request_sha256`` of the request's).
    """

    study_id: UUID
    bundle_sha256: str
    image_id: UUID
    image_sha256: str
    beside: dict[str, Any]


@dataclass(frozen=True)
class Begun:
    """A comparison and what of it is open; ``goes_on``: it was begun before."""

    comparison_id: UUID
    goes_on: bool
    studies: int
    open: list[OpenText]


# Two commands that ask the same at once begin it once.
_TAKE_TURNS = "SELECT id FROM installation FOR NO KEY UPDATE"

_UNFINISHED = """
    SELECT c.id FROM comparisons c
    WHERE c.first_sha256 = :first_sha256 AND c.second_sha256 = :second_sha256 AND c.asked = :asked
      AND EXISTS (SELECT FROM shadow_drafts d WHERE d.comparison_id = c.id AND d.state = 'open')
    ORDER BY c.begun_at DESC LIMIT 1
"""
_BEGIN = """
    INSERT INTO comparisons
        (id, first_bundle, first_sha256, second_bundle, second_sha256, chosen, asked, begun_by)
    VALUES (:id, :first, :first_sha256, :second, :second_sha256, CAST(:chosen AS jsonb), :asked, :begun_by)
"""

_WITH_FILM = """
    SELECT r.id FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY r (id, place)
    JOIN studies s ON s.id = r.id
    JOIN images i ON i.id = s.chosen_image AND i.state = 'accepted' AND i.normalised_sha256 IS NOT NULL
    ORDER BY r.place
"""

_SIDES = """
    unnest(CAST(:names AS text[]), CAST(:hashes AS text[]), CAST(:laterals AS boolean[]), CAST(:priors AS boolean[]),
           CAST(:clinicals AS boolean[])) AS b (name, sha256, looks_at_lateral, looks_at_prior, reads)
"""
_FILM = """
    CASE WHEN {film}.id IS NOT NULL THEN jsonb_build_object(
        'study_id', {film}.study_id, 'image_id', {film}.id, 'sha256', {film}.normalised_sha256) END
"""
# A purge waits for these rows, or is waited for and leaves none. Each bundle is shown what it is shown in service. The
# study's standing draft is taken where it says what the bundle would say again: made without a draw, from the same
# films and words.
_OPEN = f"""
    WITH chosen AS MATERIALIZED (
        SELECT s.id, s.chosen_image, {{companions}} FROM studies s
        WHERE id = ANY (CAST(:ids AS uuid[])) AND purged_at IS NULL AND alias_of IS NULL ORDER BY id FOR SHARE
    )
    INSERT INTO shadow_drafts (comparison_id, study_id, bundle_sha256, bundle, image_id, image_sha256, state, text,
        findings, impression, asserted, uncertain, labeller, consistency, tokens, provenance, at, beside)
    SELECT :id, s.id, b.sha256, b.name, i.id, i.normalised_sha256,
           CASE WHEN m.id IS NULL THEN 'open' ELSE 'taken' END,
           m.summary, m.findings, m.impression, CASE WHEN l.labeller IS NOT NULL THEN m.asserted END,
           CASE WHEN l.labeller IS NOT NULL THEN m.uncertain END, l.labeller, COALESCE(m.consistency, '[]'), m.tokens,
           m.provenance, m.summarised_at,
           jsonb_strip_nulls(jsonb_build_object(
               'lateral', {_FILM.format(film="side")}, 'prior', {_FILM.format(film="earlier")},
               'clinical_sha256', CASE WHEN b.reads THEN i.clinical_sha256 END, 'request_sha256', w.sha256))
    FROM chosen s
    CROSS JOIN {_SIDES}
    JOIN images i ON i.id = s.chosen_image AND i.state = 'accepted' AND i.normalised_sha256 IS NOT NULL
    LEFT JOIN images side ON b.looks_at_lateral AND side.id = s.lateral_id AND side.normalised_sha256 IS NOT NULL
    LEFT JOIN images earlier ON b.looks_at_prior AND earlier.id = s.prior_id AND earlier.normalised_sha256 IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT * FROM ({NEWEST_WORDS.format(study="s.id", image="i.id")}) AS newest WHERE b.reads
    ) w ON true
    LEFT JOIN LATERAL (
        SELECT * FROM summaries
        WHERE study_id = s.id AND superseded_at IS NULL AND bundle_sha256 = b.sha256 AND image_id = i.id
          AND provenance ->> 'image_sha256' = i.normalised_sha256
          AND provenance -> 'decoding' ->> 'do_sample' = 'false'
          AND provenance ->> 'clinical_sha256' IS NOT DISTINCT FROM CASE WHEN b.reads THEN i.clinical_sha256 END
          AND provenance ->> 'request_sha256' IS NOT DISTINCT FROM w.sha256
          AND provenance -> 'images' ->> 'lateral' IS NOT DISTINCT FROM side.normalised_sha256
          AND provenance -> 'images' ->> 'prior' IS NOT DISTINCT FROM earlier.normalised_sha256 LIMIT 1
    ) m ON true
    LEFT JOIN LATERAL (
        SELECT labeller FROM labelled_texts
        WHERE source = 'draft' AND source_id = m.id AND m.edited_summary IS NULL AND m.review_state <> 'rejected'
        LIMIT 1
    ) l ON true
"""

_STILL_OPEN = """
    SELECT study_id, bundle_sha256, image_id, image_sha256, beside FROM shadow_drafts
    WHERE comparison_id = :id AND state = 'open' ORDER BY study_id DESC, bundle_sha256
"""
_STUDIES = "SELECT count(DISTINCT study_id) AS studies FROM shadow_drafts WHERE comparison_id = :id"


def begin_comparison(ledger: Ledger, question: Question) -> Begun:
    """Begin it with the studies that have an accepted film, or go on with the same question's.

    Raises:
        InvalidRequest: no study is like that.
    """
    goes_on = _unfinished(ledger, question)
    ids = [] if goes_on else _studies(ledger, question)
    if not goes_on and not ids:
        raise InvalidRequest("no study with a film that was read is like that: ask for others with `where`")

    def body(work: Work) -> Begun:
        work.row(_TAKE_TURNS)
        values = _values(question)
        before = work.row(_UNFINISHED, values)
        comparison_id = new_id() if before is None else before["id"]
        if before is None:
            begun_by = work.actor.name if work.actor else "system"
            work.run(_BEGIN, values | {"id": comparison_id, "begun_by": begun_by})
            _open(work, question, comparison_id, ids)
        rows = work.rows(_STILL_OPEN, {"id": comparison_id})
        counted = work.row(_STUDIES, {"id": comparison_id})
        detail = {"open": len(rows)} | ({} if before is None else {"again": True})
        record(work, "comparison begun", subject=comparison_id, detail=detail)
        studies = 0 if counted is None else int(counted["studies"])
        return Begun(comparison_id, before is not None, studies, [OpenText(**row) for row in rows])

    return repeating(ledger, body)


def _open(work: Work, question: Question, comparison_id: UUID, ids: Sequence[UUID]) -> None:
    """The rows of its texts, with what each bundle is shown."""
    sides = (question.first, question.second)
    values = {
        "id": comparison_id,
        "ids": list(ids),
        "names": [one.name for one in sides],
        "hashes": [one.sha256 for one in sides],
        "laterals": [ImageRole.LATERAL in one.images for one in sides],
        "priors": [ImageRole.PRIOR in one.images for one in sides],
        "clinicals": [one.clinical for one in sides],
    }
    work.run(_OPEN.format(companions=companions(question.first.images | question.second.images)), values)


def _unfinished(ledger: Ledger, question: Question) -> bool:
    with ledger.work() as work:
        return work.row(_UNFINISHED, _values(question)) is not None


def _values(question: Question) -> dict[str, Any]:
    return {
        "first": question.first.name,
        "first_sha256": question.first.sha256,
        "second": question.second.name,
        "second_sha256": question.second.sha256,
        "chosen": json.dumps(question.chosen),
        "asked": question.asked,
    }


def _studies(ledger: Ledger, question: Question) -> Sequence[UUID]:
    """The newest studies that the filters let through and that have a film."""
    found: list[UUID] = []
    after, empty = None, 0
    while len(found) < question.limit and empty < _EMPTY_PAGES:
        page = worklist(ledger, question.listing, limit=_PAGE, after=after, filters=question.filters, sorting=_NEWEST)
        with ledger.work() as work:
            rows = work.rows(_WITH_FILM, {"ids": [row.study_id for row in page.rows]})
        found += [row["id"] for row in rows]
        empty = 0 if rows else empty + 1
        after = page.after
        if after is None:
            break
    return found[: question.limit]
