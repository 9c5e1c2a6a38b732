"""All sets of a mixture, read and checked before anything is encoded, and kept in a file that is gone through again."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

from training_jobs.corpora.sources import Painting, Source
from training_jobs.corpora.temporary import unnamed
from training_jobs.drawers.drawings import Drawing, drawings
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.files import FolderFiles, open_set
from xraygpt_core.training.datasets.pictures import first_look
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.read import across_sets, read_set
from xraygpt_core.training.datasets.splits import SplitOf, split_of
from xraygpt_core.training.mixture import PAINTED, Mixture, SetSpec
from xraygpt_core.training.pairs import Pair, read_pairs, write_pairs

_MOST_VALIDATION = 64  # pictures drawn beside those to train on


@dataclass(frozen=True)
class ReadSet:
    """A set that was read: what is wrong with it, and its pairs in a file, or drawn anew each time.

    Attributes:
        count: pictures, with the augmented copies; of a painted set, all its paintings.
        splits: how many pairs each split has; of a painted set, how many paintings.
        films: of a painted set: how many films each split has.
    """

    spec: SetSpec
    problems: Problems
    count: int
    splits: dict[str, int]
    file: Path | None = None
    images: FolderFiles | None = None
    films: Mapping[str, int] = field(default_factory=dict)

    def items(self) -> Iterator[tuple[Pair, Source]]:
        """Each pair, and where its picture comes from; augmented copies of what is trained on stand behind it."""
        if self.file is None or self.images is None:
            for pair, drawing in drawn_pairs(self.spec):
                yield pair, Source(drawing=drawing)
            return
        seen = Counter[str]()
        for pair in read_pairs(self.file):
            path = str(self.images.path(pair.image))
            if self.spec.reader == PAINTED:
                yield from self._paintings(pair, path, seen)
                continue
            yield pair, Source(path)
            for number in range(1, 1 + self.spec.variants * (pair.split == "train")):
                yield replace(pair, pair_id=f"{pair.pair_id}+{number}"), Source(path, variant=number)

    def _paintings(self, pair: Pair, path: str, seen: Counter[str]) -> Iterator[tuple[Pair, Source]]:
        """Those of one film, one after the other. They are spread evenly over the films; ``seen`` counts these."""
        each, more = divmod(self.splits[pair.split], self.films[pair.split])
        for number in range(each + (seen[pair.split] < more)):
            name = f"{pair.pair_id}+painted{number}"
            bare = replace(pair, pair_id=name, labels={})  # what is painted says the labels
            yield bare, Source(path, painting=Painting(self.spec.seed, number, "AP" if pair.view == "AP" else "PA"))
        seen[pair.split] += 1


@contextmanager
def reading(mixture: Mixture, folder: Path) -> Iterator[list[ReadSet]]:
    """The sets of a mixture; their problems are not raised yet. What is kept in ``folder`` is gone afterwards.

    Raises:
        TrainingError: a set does not lie on this machine.
    """
    with unnamed(folder) as work:
        patients = SplitOf()
        yield [_read(spec, work / f"{number}.jsonl", patients) for number, spec in enumerate(mixture.sets)]


def mixture_problems(splits: Mapping[str, int]) -> Problems:
    """What is wrong with the sets taken together, by how many pairs each split has."""
    problems = Problems()
    if not splits.get("train"):
        problems.add("the mixture", "no pair is left to train on", Kind.NOTHING_TO_TRAIN)
    elif not splits.get("val") and not splits.get("test"):
        what = "no pair is held out, so nothing can be compared; split by patient, or raise validation"
        problems.add("the mixture", what, Kind.NOTHING_HELD_OUT)
    return problems


def drawn_pairs(spec: SetSpec) -> Iterator[tuple[Pair, Drawing]]:
    """The pairs of a drawn set: text and labels are learned by drawing.

    With ``by-patient`` some of the ``count`` are held out. Otherwise all of them are trained on, and the next few seeds
    are for validation.
    """
    extra = 0 if spec.split == "by-patient" else min(ceil(spec.validation * spec.count), _MOST_VALIDATION)
    total = spec.count + extra
    for index, drawing in enumerate(drawings(spec.reader, total, spec.seed, spec.population, spec.augment)):
        if spec.split == "by-patient":
            split = split_of(drawing.name, spec.validation, spec.test)
        else:
            split = "train" if index < spec.count else "val"
        shown = drawing if split == "train" else replace(drawing, augmented=False)
        yield Pair(drawing.name, spec.name, drawing.name, split, str(drawing.seed), None), shown


def _read(spec: SetSpec, file: Path, patients: SplitOf) -> ReadSet:
    if spec.drawn:
        splits: dict[str, int] = {}
        for pair, _ in drawn_pairs(spec):
            splits[pair.split] = splits.get(pair.split, 0) + 1
        return ReadSet(spec, Problems(), sum(splits.values()), splits)
    if spec.reader == "ledger":
        raise TrainingError(f"the set {spec.name!r} lies in the ledger: start the run through the queue")
    files, images = open_set(spec)
    found = read_set(spec, files, images)
    kept = _Counted(across_sets(found.pairs, patients, found.problems), images, found.problems)
    write_pairs(file, kept)
    found.problems.weigh(spec.name, spec.bad_images)
    if spec.reader == PAINTED:
        splits = _painted_splits(spec, kept.splits)
        return ReadSet(spec, found.problems, sum(splits.values()), splits, file, images, kept.splits)
    count = sum(kept.splits.values()) + spec.variants * kept.splits.get("train", 0)
    return ReadSet(spec, found.problems, count, kept.splits, file, images)


def _painted_splits(spec: SetSpec, films: Mapping[str, int]) -> dict[str, int]:
    """How many paintings are made for each split that has films: ``count`` to train on, and some held out."""
    wanted = {"train": spec.count, "val": min(max(1, ceil(spec.validation * spec.count)), _MOST_VALIDATION)}
    return {split: number for split, number in wanted.items() if films.get(split)}


class _Counted:
    """The pairs whose pictures pass a first look, counted."""

    def __init__(self, pairs: Iterator[Pair], images: FolderFiles, problems: Problems) -> None:
        self.splits: dict[str, int] = {}
        self._pairs, self._images, self._problems = pairs, images, problems

    def __iter__(self) -> Iterator[Pair]:
        for pair in self._pairs:
            objected = first_look(self._images, pair.image)
            if objected is not None:
                self._problems.add(pair.where or pair.pair_id, *objected)
                continue
            self.splits[pair.split] = self.splits.get(pair.split, 0) + 1
            yield pair
