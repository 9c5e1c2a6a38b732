"""What is wrong with the sets of a mixture, as a table, before anything is encoded or trained."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from tempfile import gettempdir

from training_jobs.corpora.build import Notify
from training_jobs.corpora.reading import ReadSet, mixture_problems, reading
from training_jobs.corpora.sources import Prepare, preparing
from xraygpt_core.plain_text import plain_text, with_rest
from xraygpt_core.training.datasets.problems import DROPS, Kind, Problem, Problems
from xraygpt_core.training.datasets.read import note_image
from xraygpt_core.training.datasets.splits import SplitOf
from xraygpt_core.training.mixture import Mixture
from xraygpt_core.training.pairs import SPLITS

_SHOWN = 20  # of a kind
_TOGETHER = 512  # pictures that wait for their result


def check_mixture(mixture: Mixture, *, quick: bool, workers: int, notify: Notify) -> tuple[list[str], bool]:
    """The lines to print, and whether a run would start.

    Args:
        quick: look at the first bytes of each picture only; otherwise every film is decoded.

    Raises:
        TrainingError: a set does not lie on this machine.
    """
    with reading(mixture, Path(gettempdir()) / "xraygpt-check") as sets:
        splits = Counter({split: sum(one.splits.get(split, 0) for one in sets) for split in SPLITS})
        if not quick:
            with preparing(workers) as prepare:
                _decode(sets, prepare, notify, splits)
        named = [*((one.spec.name, one.problems) for one in sets), ("the mixture", mixture_problems(splits))]
        errors = sum(problems.errors for _, problems in named)
        lines = [line for one in sets for line in _set_lines(one)]
        found = sorted((kind for one in named for kind in _problem_lines(*one)), key=itemgetter(0))
        lines += [line for _, kind_lines in found for line in kind_lines]
        lines.append("A run would start." if not errors else f"No run starts: {errors} of these stop it.")
        return [plain_text(line, lines=False) for line in lines], not errors


def _decode(sets: Sequence[ReadSet], prepare: Prepare, notify: Notify, splits: Counter[str]) -> None:
    """Decode every film; what cannot be decoded, and what is in two splits, is a problem of its set."""
    pixels, done, total = SplitOf(), 0, sum(one.count for one in sets if not one.spec.drawn)
    for one in sets:
        films = ((pair, source) for pair, source in one.items() if source.first and not source.drawing)
        while chunk := list(islice(films, _TOGETHER)):
            for (pair, _), (picture, _png) in zip(chunk, prepare([source for _, source in chunk]), strict=True):
                done += 1 + one.spec.variants * (pair.split == "train")
                notify(done, total)
                where = pair.where or pair.pair_id
                if picture.dropped is not None:
                    splits[pair.split] -= 1
                    one.problems.add(where, picture.why, Kind(picture.dropped))
                elif picture.pixels is not None:
                    note_image(pixels, picture.pixels, pair, one.problems)
        one.problems.weigh(one.spec.name, one.spec.bad_images)


def _set_lines(one: ReadSet) -> Iterator[str]:
    counted = ", ".join(f"{one.splits.get(split, 0)} {split}" for split in SPLITS)
    yield f"{one.spec.name} ({one.spec.reader}): {counted}"


def _problem_lines(name: str, problems: Problems) -> Iterator[tuple[bool, list[str]]]:
    """Of each kind: whether it stops no run, and its lines: its number and weight, and where it is the first times."""
    for kind, number in problems.counts.most_common():
        found = [problem for problem in problems if problem.kind is kind][:_SHOWN]
        stops = Problem(name, "", kind).stops
        weight = "stops a run" if stops else "dropped" if kind in DROPS else "to know"
        yield (
            not stops,
            [
                f"{name}: {kind} {number} ({weight})",
                *(f"  {line}" for line in with_rest(list(map(str, found)), number)),
            ],
        )
