"""The pictures of a corpus that a report shows: of held-out pairs, as many of each set."""

from collections.abc import Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path

from training_jobs.corpora.sources import Prepare, Source
from xraygpt_core.training.pairs import Pair

MOST = 40
FOLDER = "images"
Example = tuple[str, Source]  # hash of the PNG, and where it comes from


class Examples:
    """Collects the first pairs of each split of each set."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[Example]]] = {}

    def offer(self, pair: Pair, source: Source) -> None:
        """Take a pair whose ``image`` is the hash already, if there is room for it."""
        found = self._found.setdefault(pair.split, {}).setdefault(pair.set_name, [])
        if len(found) < MOST:
            found.append((pair.image, source))

    def chosen(self) -> list[Example]:
        """Those of validation; if nothing is in it, those of the test, or at last of what is trained on."""
        split = next((split for split in ("val", "test", "train") if split in self._found), "train")
        turns = zip_longest(*self._found.get(split, {}).values())
        return list(islice((one for one in chain.from_iterable(turns) if one is not None), MOST))

    def write(self, corpus: Path, prepare: Prepare) -> None:
        """Prepare the chosen ones once more, and write ``images/<sha256>.png``."""
        (corpus / FOLDER).mkdir()
        for name, png in self._pngs(prepare):
            (corpus / FOLDER / f"{name}.png").write_bytes(png)

    def _pngs(self, prepare: Prepare) -> Iterator[tuple[str, bytes]]:
        chosen = self.chosen()
        for (name, _), (picture, png) in zip(chosen, prepare([source for _, source in chosen]), strict=True):
            if picture.sha256 == name:  # else its file changed meanwhile, and it is not what was encoded
                yield name, png
