"""The life of an image and of a study: every change of state there is, in two tables.

An image is *received* when its object is registered. Its ingest job makes it *accepted* or *rejected*, or dies and
leaves it *dead*. It is *replaced* when another content of its object takes its place, and *cancelled* with its study.

A study is *received* with its first image. It is *waiting* once an image is read and the study is to be settled;
*queued* once an image is chosen and the summarise job waits; *summarised* once it has a current summary. It ends
*rejected* where no image can be summarised, *dead* where a job failed for good, *replaced* where its only object is
gone, and *cancelled* by a person, with its backlog, or by a purge. An image that comes or goes makes it *waiting*
again.

The statements that make these changes are written out in the modules named here, relative to ``xraygpt_core/ledger``.
Tests hold each of them, and each change the ledger's tests ever make, to these tables.
"""

from typing import NamedTuple

NEW = "new"  # before its row is there
REPLACED = "replaced"  # stored as cancelled, with the reason code 'replaced': a content that comes reopens it
RECEIVED, WAITING, QUEUED, SUMMARISED = "received", "waiting", "queued", "summarised"
ACCEPTED, REJECTED, DEAD, CANCELLED = "accepted", "rejected", "dead", "cancelled"

INGEST, SETTLE, GPU = "ingest worker", "settle worker", "GPU worker"
SENDER, PERSON, BACKLOG, ANY_WORKER = "sender of the object", "person", "person, by a backlog", "any worker"


class Transition(NamedTuple):
    """One event: the states it finds, the states it leads to, the one who causes it, and the module that does it."""

    before: tuple[str, ...]
    event: str
    after: tuple[str, ...]
    who: str
    module: str


IMAGE_TRANSITIONS = tuple(
    Transition(*row)
    for row in (
        ((NEW,), "its object is registered", (RECEIVED,), SENDER, "studies/register"),
        ((RECEIVED,), "it is read", (ACCEPTED,), INGEST, "studies/accept"),
        ((RECEIVED,), "it is read, and cannot be summarised", (REJECTED,), INGEST, "studies/end_image"),
        ((RECEIVED,), "its object has changed, or is gone", (REPLACED,), INGEST, "studies/end_image"),
        ((RECEIVED,), "its ingest job dies", (DEAD,), ANY_WORKER, "jobs/kinds"),
        ((DEAD,), "its ingest job is replayed", (RECEIVED,), PERSON, "jobs/kinds"),
        ((ACCEPTED, REJECTED, DEAD), "a newer content is read", (REPLACED,), INGEST, "studies/end_image"),
        ((REPLACED,), "its content is announced again", (RECEIVED,), SENDER, "studies/known_objects"),
        ((ACCEPTED,), "its pixels show no chest", (REJECTED,), GPU, "studies/refuse"),
        ((REJECTED,), "another summary of its study is asked for", (ACCEPTED,), PERSON, "studies/refuse"),
        ((RECEIVED, ACCEPTED), "its backlog is cancelled", (CANCELLED,), BACKLOG, "backlogs/change_statements"),
        ((CANCELLED,), "its backlog is resumed", (RECEIVED,), BACKLOG, "backlogs/change_statements"),
        ((RECEIVED, ACCEPTED, DEAD), "its study is cancelled", (CANCELLED,), PERSON, "studies/cancel"),
        ((RECEIVED, ACCEPTED, REJECTED, DEAD, REPLACED), "its study is purged", (CANCELLED,), PERSON, "studies/purge"),
    )
)

_ENDED = (REJECTED, DEAD, REPLACED)
_OPEN = (RECEIVED, WAITING, QUEUED)

STUDY_TRANSITIONS = tuple(
    Transition(*row)
    for row in (
        ((NEW,), "an object is registered", (RECEIVED,), SENDER, "studies/register"),
        ((NEW,), "an image belongs to no study there is", (RECEIVED,), INGEST, "studies/grouping"),
        ((*_ENDED, CANCELLED), "its image moves on; it is an alias", (RECEIVED,), INGEST, "studies/grouping"),
        ((RECEIVED,), "its only image is read", (WAITING,), INGEST, "studies/accept"),
        ((*_OPEN, SUMMARISED, *_ENDED), "an image comes or goes", (WAITING,), ANY_WORKER, "studies/revise"),
        ((WAITING,), "an image is chosen", (QUEUED,), SETTLE, "studies/settle"),
        ((WAITING,), "the image is summarised already", (SUMMARISED,), SETTLE, "studies/settle"),
        ((WAITING,), "no image is frontal", (REJECTED,), SETTLE, "studies/no_summary"),
        ((WAITING,), "no image is left", (RECEIVED,), SETTLE, "studies/no_summary"),
        ((RECEIVED, WAITING, *_ENDED), "no image is left, nor to be read", _ENDED, ANY_WORKER, "jobs/outcomes"),
        ((WAITING, QUEUED), "its settle or summarise job dies", (DEAD,), ANY_WORKER, "jobs/kinds"),
        ((DEAD,), "its job is replayed", (WAITING, QUEUED), PERSON, "jobs/kinds"),
        ((DEAD,), "another summary is asked for", (QUEUED,), PERSON, "studies/resummarise"),
        ((QUEUED, DEAD), "its summary is written", (SUMMARISED,), GPU, "studies/summarise"),
        ((QUEUED,), "its image is no chest, its signed text stays", (SUMMARISED,), GPU, "studies/refuse"),
        (_OPEN, "its backlog is cancelled", (CANCELLED,), BACKLOG, "backlogs/change_statements"),
        ((CANCELLED,), "its backlog is resumed", (RECEIVED, WAITING), BACKLOG, "backlogs/change_statements"),
        ((CANCELLED,), "others send an image of a backlog's study", (RECEIVED,), SENDER, "studies/reopen"),
        ((*_OPEN, DEAD), "it is cancelled", (CANCELLED,), PERSON, "studies/cancel"),
        ((RECEIVED,), "it is taken out of a cancelled study", (CANCELLED,), PERSON, "studies/move_images"),
        ((*_OPEN, SUMMARISED, *_ENDED), "it is purged", (CANCELLED,), PERSON, "studies/purge"),
    )
)
