"""What can be wrong with a set, in words: which of it stops a run, and which only drops a row, which is counted."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from xraygpt_core.errors import TrainingError
from xraygpt_core.plain_text import plain_text, with_rest

_KEPT = 1000  # problems of a set that are kept one by one; the others are only counted
_SHOWN = 20  # in an error's text


class Kind(StrEnum):
    """One kind of problem; its value is stored in ``problems.jsonl`` and names nothing of the set."""

    # The picture: its row is dropped.
    MISSING_IMAGE = "missing_image"
    UNREADABLE_IMAGE = "unreadable_image"
    NO_IMAGE = "no_image"
    SMALL_IMAGE = "small_image"
    CUT_IMAGE = "cut_image"
    REFUSED_IMAGE = "refused_image"
    # The text: its row is dropped.
    EMPTY_TEXT = "empty_text"
    LONG_TEXT = "long_text"
    REPEATED_TEXT = "repeated_text"
    NAME_AS_TEXT = "name_as_text"
    # The row: it is dropped.
    WRONG_ID = "wrong_id"
    DUPLICATE_ID = "duplicate_id"
    LATERAL = "lateral"
    NO_LUNGS = "no_lungs"  # nothing can be painted into them
    # The file: the run stops.
    UNREADABLE_FILE = "unreadable_file"
    ENCODING = "encoding"
    LONG_LINE = "long_line"
    BROKEN_JSON = "broken_json"
    WRONG_SHAPE = "wrong_shape"
    MISSING_COLUMN = "missing_column"
    WRONG_CELLS = "wrong_cells"
    BROKEN_XML = "broken_xml"
    XML_ENTITIES = "xml_entities"
    LEADS_OUT = "leads_out"
    # Who is kept back: the run stops.
    UNKNOWN_SPLIT = "unknown_split"
    PATIENT_IN_TWO_SPLITS = "patient_in_two_splits"
    PATIENT_IN_TWO_SETS = "patient_in_two_sets"
    IMAGE_IN_TWO_SPLITS = "image_in_two_splits"
    # The set as a whole.
    EMPTY_SET = "empty_set"
    NOTHING_TO_TRAIN = "nothing_to_train"
    MANY_BAD_IMAGES = "many_bad_images"
    MANY_BAD_TEXTS = "many_bad_texts"
    MANY_BAD_ROWS = "many_bad_rows"
    NOTHING_HELD_OUT = "nothing_held_out"  # said, and the run goes on
    NO_PATIENTS = "no_patients"  # said, and the run goes on


_PICTURE = frozenset(
    {
        Kind.MISSING_IMAGE,
        Kind.UNREADABLE_IMAGE,
        Kind.NO_IMAGE,
        Kind.SMALL_IMAGE,
        Kind.CUT_IMAGE,
        Kind.REFUSED_IMAGE,
    }
)
_TEXT = frozenset({Kind.EMPTY_TEXT, Kind.LONG_TEXT, Kind.REPEATED_TEXT, Kind.NAME_AS_TEXT})
_ROW = frozenset({Kind.WRONG_ID, Kind.DUPLICATE_ID, Kind.LATERAL, Kind.NO_LUNGS})
DROPS = _PICTURE | _TEXT | _ROW
_SAID = frozenset({Kind.NOTHING_HELD_OUT, Kind.NO_PATIENTS})
_MOST_BAD = 0.5  # of a set's texts and ids; one of each never stops a run


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        where: file and line. It may name the set's files, so it is for the eyes of whoever owns the set.
        what: one sentence that quotes nothing of the set.
        kind: the same as a word.
    """

    where: str
    what: str
    kind: Kind = Kind.UNREADABLE_FILE

    @property
    def stops(self) -> bool:
        """Whether no run starts with it; otherwise its row is dropped, or it is only said."""
        return self.kind not in DROPS and self.kind not in _SAID

    def __str__(self) -> str:
        return plain_text(f"{self.where}: {self.what}", lines=False)


class Problems:
    """The problems of a set, as they are found: the first thousand of each weight one by one, all of them counted."""

    def __init__(self) -> None:
        self.counts: Counter[Kind] = Counter()
        self.rows = 0  # that were looked at
        self._errors: list[Problem] = []
        self._drops: list[Problem] = []

    def add(self, where: str, what: str, kind: Kind) -> None:
        """Note one."""
        self.counts[kind] += 1
        problem = Problem(where, what, kind)
        kept = self._errors if problem.stops else self._drops
        if len(kept) < _KEPT:
            kept.append(problem)

    def __iter__(self) -> Iterator[Problem]:
        """What stops first, then what is dropped or said."""
        yield from self._errors
        yield from self._drops

    def __len__(self) -> int:
        return self.counts.total()

    @property
    def errors(self) -> int:
        """How many of them stop a run."""
        return sum(number for kind, number in self.counts.items() if kind not in DROPS and kind not in _SAID)

    def weigh(self, where: str, bad_images: float) -> None:
        """Once all rows were looked at: so many bad pictures or texts that the set is not what it is taken for.

        Args:
            bad_images: the share of pictures that may be bad (``SetSpec.bad_images``).
        """
        for kinds, most, kind, noun in (
            (_PICTURE, bad_images, Kind.MANY_BAD_IMAGES, "pictures"),
            (_TEXT, _MOST_BAD, Kind.MANY_BAD_TEXTS, "texts"),
            (_ROW - {Kind.LATERAL, Kind.NO_LUNGS}, _MOST_BAD, Kind.MANY_BAD_ROWS, "ids"),
        ):
            bad = sum(self.counts[one] for one in kinds)
            if bad > max(1.0, most * self.rows) and not self.counts[kind]:
                set_by = " (bad_images)" if kind is Kind.MANY_BAD_IMAGES else ""
                what = f"{bad} of {self.rows} {noun} cannot be used; a run goes on with at most {most:.0%}{set_by}"
                self.add(where, what, kind)


def stop_at(found: Iterable[Problems]) -> None:
    """End here if there is anything that stops a run.

    Raises:
        TrainingError: at most twenty problems with file and line, then how many more there are.
    """
    every = list(found)
    count = sum(problems.errors for problems in every)
    if count:
        shown = [str(problem) for problems in every for problem in problems if problem.stops][:_SHOWN]
        head = f"the sets cannot be trained on, {count} problem{'s' * (count != 1)}:"
        raise TrainingError("\n".join([head, *with_rest(shown, count)]))
