"""The corpora of a run: what the queue prepared, and what is read or drawn on this machine."""

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from training_jobs.corpora.build import local_corpus
from training_jobs.corpora.mixtures import mixture_of
from training_jobs.learning.distributed import World
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.training.config import Config
from xraygpt_core.training.corpus import Corpus, read_corpus
from xraygpt_core.training.mixture import Mixture

_EVERY = 10.0  # seconds between two lines about encoding
_CHUNK = 2**20


def corpora_of(base: Bundle, config: Config, cache: Path, prepared: Sequence[Path], world: World) -> list[Corpus]:
    """The prepared corpora, and one of what the configuration's sets have on this machine.

    With prepared corpora only what is drawn is made here: their other sets are in them. One process makes it, the
    others find it.

    Raises:
        TrainingError: a set cannot be trained on, or a corpus has the features of another encoder.
    """
    found = [_checked(path, base) for path in prepared]
    mixture = _left(config, bool(prepared))
    if mixture.sets:
        for turn in (True, False):
            if world.leads == turn:
                found.append(local_corpus(base, mixture, cache, config.workers, _telling() if turn else _silent))
            world.gather(turn)
    return found


def identity_of(base: Bundle, corpora: Sequence[Corpus]) -> str:
    """A hash of base, pairs and encoder: a checkpoint of other data is refused."""
    digest = hashlib.sha256(base.sha256.encode())
    for corpus in corpora:
        digest.update(f"{corpus.encoder} {sorted(corpus.weights.items())}".encode())
        for shard in corpus.shards:
            with (corpus.path / shard.pairs).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


def _checked(path: Path, base: Bundle) -> Corpus:
    corpus = read_corpus(path)
    if corpus.encoder != encoder_digest(base):
        raise TrainingError(f"the corpus {path.name} has features of another encoder than that of {base.name!r}")
    return corpus


def _left(config: Config, has_prepared: bool) -> Mixture:
    if not has_prepared:
        return mixture_of(config)
    if config.mixture is None and config.films is None:
        return Mixture(())  # the corpora are the whole mixture
    return Mixture(tuple(spec for spec in mixture_of(config).sets if spec.drawn))


def _silent(done: int, total: int) -> None:
    """Another process says it."""


def _telling() -> Callable[[int, int], None]:
    """A line on stderr now and then, and at the end."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            print(f"encoded {done} of {total} pictures", file=sys.stderr, flush=True)  # noqa: T201

    return tell
