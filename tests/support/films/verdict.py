"""Make the film of a seed, hand it to the product, and say what became of it."""

import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.support.films import label_mutations, layout_mutations, length_mutations, palette_mutations, table_mutations
from tests.support.films.drafts import draft, file_of
from tests.support.films.mutations import FILES, REGISTER, TABLES
from xraygpt_core.errors import Rejected
from xraygpt_core.states import DOUBTS

_MODULES = (
    label_mutations,
    layout_mutations,
    length_mutations,
    palette_mutations,
    table_mutations,
)  # each fills the register
_ORDER = ("modality", "voi", "presentation", "padding", "palette")


@dataclass(frozen=True)
class Film:
    """A mutated film."""

    seed: int
    about: str
    data: bytes
    expected: np.ndarray | None  # None: only that the process survives
    tolerance: float  # mean grey levels
    reasons: frozenset
    legal: bool  # it has no fault


def film(seed, only=None):
    """The film of a seed: no, one or two mutations. ``only`` names them instead."""
    rng = np.random.default_rng(seed)
    made = draft(rng)
    chosen = _tables(made, rng, only)
    file = file_of(made)
    label = file.label
    chosen += _files(made, file, rng, 2 - len(chosen) if rng.random() < 0.5 else 1 - len(chosen), only)
    reasons = frozenset().union(*(one.reasons for one in chosen))
    known = not any(one.survives for one in chosen)
    kind = f"{made.photometric} {'s' if made.signed else 'u'}{made.bits} {label.removeprefix('1.2.840.10008.1.2')}"
    about = f"{kind}: {' + '.join(one.name for one in chosen) or 'nothing'}"
    return Film(
        seed,
        about,
        file.encode(),
        made.expected() if known else None,
        made.tolerance,
        reasons,
        all(one.legal for one in chosen),
    )


def _tables(made, rng, only):
    """Choose by share of all kinds, then apply in the order of the pipeline, since each step's range is the next's."""
    able = [one for one in REGISTER.values() if one.stage == TABLES and one.fits(made)]
    if only is not None:
        picked = [one for one in able if one.name in only]
    else:
        count = int(rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))
        picked = [able[place] for place in rng.permutation(len(able))[:count]] if able else []
    done = []
    for one in sorted(picked, key=lambda one: _ORDER.index(one.group)):
        if all(one.may_join(other) for other in done) and one.fits(made):
            one.apply(made)
            done.append(one)
    return done


def _files(made, file, rng, count, only):
    done = []
    kinds = [one for one in REGISTER.values() if one.stage == FILES]
    for place in rng.permutation(len(kinds)):
        one = kinds[place]
        wanted = one.name in only if only is not None else len(done) < count
        if wanted and all(one.may_join(other) for other in done) and one.fits(made, file):
            one.apply(made, file)
            done.append(one)
    return done


def grey_of(image):
    """The normalised picture, 8-bit (rows, columns)."""
    return np.asarray(Image.open(io.BytesIO(image.normalised_png)))


def verdict(sandbox, film):
    """ "exact", "flagged", "rejected: REASON", "survived" or "WRONG: why"."""
    try:
        image = sandbox.normalise(film.data)
    except Rejected as error:
        if film.expected is None:
            return "survived"
        true = error.reason.value in film.reasons
        return (
            f"rejected: {error.reason.value}" if true else f"WRONG: rejected as {error.reason.value} ({error.detail})"
        )
    if film.expected is None:
        return "survived"
    seen = grey_of(image)
    off = np.inf if seen.shape != film.expected.shape else np.abs(seen.astype(int) - film.expected).mean()
    doubted = bool(DOUBTS & set(image.flags))
    if film.legal and doubted:
        return "WRONG: a film without a fault is doubted"
    if off <= film.tolerance:
        return "exact"
    return "flagged" if doubted else f"WRONG: {off:.1f} grey levels off"


def judge(sandbox, seeds):
    """(verdicts counted, the films that came out wrong)."""
    counts, wrong = Counter(), []
    for seed in seeds:
        made = film(seed)
        said = verdict(sandbox, made)
        counts[said.split(":")[0] if said.startswith("WRONG") else said] += 1
        if said.startswith("WRONG"):
            wrong.append(f"{seed} {made.about} -> {said}")
    return counts, wrong
