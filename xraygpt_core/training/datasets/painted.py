"""The films of a ``manifest.jsonl`` that show nothing: findings are painted into them, and bring texts and labels.

Of its rows those are taken whose only label is NIH ChestX-ray14's "No Finding" and whose view is known. Films of the
test split are left alone: they stay what was never trained on.
"""

from collections.abc import Iterator

from xraygpt_core.training.datasets.files import Files
from xraygpt_core.training.datasets.manifest import manifest_rows
from xraygpt_core.training.datasets.problems import Problems
from xraygpt_core.training.datasets.rows import Row
from xraygpt_core.training.datasets.splits import split_word
from xraygpt_core.training.datasets.views import view_of
from xraygpt_core.training.mixture import SetSpec

_NOTHING = ["No Finding"]


def rows(spec: SetSpec, files: Files, images: Files, problems: Problems) -> Iterator[Row]:  # noqa: ARG001  (a reader)
    """The films to paint on, in their order."""
    for where, row in manifest_rows(spec, files, problems):
        view = view_of(row["view"])
        if row["labels"] != _NOTHING or view not in ("AP", "PA") or split_word(row["split"]) == "test":
            continue
        yield Row(
            row_id=row["id"],
            images=(row["image"],),
            text=None,
            where=where,
            patient=row["patient"] or row["id"],
            split=row["split"],
            view=view,
            labels={"view": float(view == "AP")},
        )
