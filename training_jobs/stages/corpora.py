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

    With prepared corpora only what is drawn is made here: their other sets are in them.

    Raises:
        TrainingError: a set cannot be trained on, or a corpus has the features of another encoder.
    """
    found = [_checked(path, base) for path in prepared]
    mixture = _left(config, bool(prepared))
    if mixture.sets:
        found.append(_made(base, mixture, cache, config.workers, world))
    return found


def _made(base: Bundle, mixture: Mixture, cache: Path, workers: int, world: World) -> Corpus:
    """The first process makes the corpus. The others hear from it meanwhile, and then find it in the cache."""
    if not world.leads:
        while not world.gather(False)[0]:
            pass
        return local_corpus(base, mixture, cache, workers, lambda _done, _total: None)
    corpus = local_corpus(base, mixture, cache, workers, _telling(world))
    world.gather(True)
    return corpus


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


def _telling(world: World) -> Callable[[int, int], None]:
    """A line on stderr now and then, and a word to the processes that wait."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            world.gather(False)
            print(f"encoded {done} of {total} pictures", file=sys.stderr, flush=True)  # noqa: T201

    return tell
