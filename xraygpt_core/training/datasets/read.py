"""Read a set: its rows, checked one by one as they come, become pairs; what is wrong with it becomes problems.

A set of any size is read in the memory of its ids' hashes, some 100 bytes a row. Only texts, ids and names are looked
at here; :mod:`xraygpt_core.training.datasets.pictures` looks into the images.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets import filter_cap, manifest, mimic_cxr, open_i, painted, table
from xraygpt_core.training.datasets.files import Files, LeadsOut
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.rows import Row
from xraygpt_core.training.datasets.splits import SplitOf, key_of, split_of, split_word
from xraygpt_core.training.datasets.texts import objection
from xraygpt_core.training.datasets.views import LATERAL
from xraygpt_core.training.mixture import SetSpec
from xraygpt_core.training.pairs import Pair

_MAX_ID = 200  # letters
Reader = Callable[[SetSpec, Files, Files, Problems], Iterator[Row]]
_READERS: Mapping[str, Reader] = {
    "filter-cap": filter_cap.rows,
    "mimic-cxr": mimic_cxr.rows,
    "open-i": open_i.rows,
    "table": table.rows,
    "manifest": manifest.rows,
    "painted": painted.rows,
}


@dataclass(frozen=True)
class SetReading:
    """What :func:`read_set` gives.

    Attributes:
        pairs: to be gone through once; ``image`` is the address of an image that exists.
        problems: complete when the last pair was taken.
    """

    pairs: Iterator[Pair]
    problems: Problems


def read_set(spec: SetSpec, files: Files, images: Files | None = None) -> SetReading:
    """Read a set that is laid out as its ``reader`` says.

    Args:
        files: where its texts lie.
        images: where its images lie, if elsewhere (``spec.images``).

    Raises:
        TrainingError: what is drawn and what lies in the ledger is not read here.
    """
    if spec.reader not in _READERS:
        raise TrainingError(f"the set {spec.name!r} is not read from files: its reader is {spec.reader}")
    problems = Problems()
    return SetReading(_checked(spec, files, images or files, problems), problems)


def across_sets(pairs: Iterator[Pair], seen: SplitOf, problems: Problems) -> Iterator[Pair]:
    """The same pairs; a patient whom another set of the mixture, read with the same ``seen``, has in another split is
    a problem.
    """
    for pair in pairs:
        first = seen.first(pair.patient, pair.split)
        if first != pair.split:
            what = f"this patient is in {pair.split} here and in {first} in another set; split both sets by patient"
            problems.add(pair.where or pair.set_name, what, Kind.PATIENT_IN_TWO_SETS)
        yield pair


def note_image(seen: SplitOf, pixels: str, pair: Pair, problems: Problems) -> None:
    """A picture that was seen before, in another split, is a problem: what is held out must be new.

    Args:
        seen: of all sets of a mixture.
        pixels: the hash of its decoded values.
    """
    first = seen.first(pixels, pair.split)
    if first != pair.split:
        what = f"this picture is in {pair.split} here and in {first} before: take one of them out"
        problems.add(pair.where or pair.set_name, what, Kind.IMAGE_IN_TWO_SPLITS)


def _checked(spec: SetSpec, files: Files, images: Files, problems: Problems) -> Iterator[Pair]:
    ids: set[int] = set()
    splits = SplitOf()
    found = 0
    for row in _READERS[spec.reader](spec, files, images, problems):
        problems.rows += 1
        pair = _pair(spec, row, images, problems)
        if pair is None:
            continue
        if (key := key_of(pair.pair_id)) in ids:
            problems.add(row.where, "another row has this id", Kind.DUPLICATE_ID)
            continue
        ids.add(key)
        first = splits.first(pair.patient, pair.split)
        if first != pair.split:
            what = f"this patient is in {pair.split} here and in {first} before; or split by patient"
            problems.add(row.where, what, Kind.PATIENT_IN_TWO_SPLITS)
        found += 1
        yield pair
    problems.weigh(spec.name, spec.bad_images)
    if not found:
        problems.add(spec.name, "no row of it can be trained on", Kind.EMPTY_SET)


def _pair(spec: SetSpec, row: Row, images: Files, problems: Problems) -> Pair | None:
    """The row as a pair, or None and a problem."""
    if not 0 < len(row.row_id) <= _MAX_ID or not row.row_id.isprintable():
        problems.add(row.where, f"its id must have 1 to {_MAX_ID} printable letters", Kind.WRONG_ID)
        return None
    if row.view == LATERAL:
        problems.add(row.where, "a lateral film", Kind.LATERAL)
        return None
    image = _image(row, images, problems)
    text = None if row.text is None else row.text.strip()
    if image is None:
        return None
    if text is not None or (spec.labels is None and not row.labels):
        objected = objection(text or "", row.row_id, image)
        if objected is not None:
            problems.add(row.where, *objected)
            return None
    patient, split = _kept_back(spec, row, problems)
    if split is None:
        return None
    return Pair(
        pair_id=row.row_id,
        set_name=spec.name,
        patient=patient,
        split=split,
        image=image,
        text=text,
        view=row.view,
        source=row.source,
        indication=row.indication,
        question=row.question,
        paraphrases=tuple(other.strip() for other in row.paraphrases if objection(other) is None),
        labels=row.labels,
        where=row.where,
    )


def _image(row: Row, images: Files, problems: Problems) -> str | None:
    """The first address at which there is a file."""
    try:
        for address in row.images:
            if images.exists(address):
                return address
    except LeadsOut as error:
        problems.add(row.where, str(error), Kind.LEADS_OUT)
        return None
    except TrainingError as error:
        problems.add(row.where, str(error), Kind.UNREADABLE_IMAGE)
        return None
    problems.add(row.where, "its image is missing", Kind.MISSING_IMAGE)
    return None


def _kept_back(spec: SetSpec, row: Row, problems: Problems) -> tuple[str, str | None]:
    """Patient (opaque) and split; the split is None, and a problem, for a word that is none."""
    if row.patient is None and not problems.counts[Kind.NO_PATIENTS]:
        what = "no patient is named: films of one patient may stand in training and in what is held out"
        problems.add(row.where, what, Kind.NO_PATIENTS)
    patient = hashlib.sha256(f"{row.patient or row.row_id}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    if spec.split == "by-patient" or not row.split:
        return patient, split_of(patient, spec.validation, spec.test)
    split = split_word(row.split)
    if split is None:
        problems.add(row.where, "its split is none of train, val and test", Kind.UNKNOWN_SPLIT)
    return patient, split
