"""The corpus of a run, put together on the training worker: its shards' pairs from the derived bucket, their features
from the cache, and what no GPU worker encoded.
"""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from workers.context import Context
from workers.devices import HeldDevices
from workers.dropped import note_dropped
from workers.executor import HandedBack
from workers.feature_cache import FeatureCache, SpoiltFeatures
from workers.heartbeat import JobProgress
from workers.shard_files import pair_of, read_texts
from workers.training_child import TrainingChild
from workers.training_outcome import exit_code, outcome_of
from workers.transfer import inside
from xraygpt_core.errors import ObjectMissing, TrainingError
from xraygpt_core.ledger.jobs.fence import lease_lost
from xraygpt_core.ledger.training.corpora import RunShard, features_keys, run_shard, shard_numbers
from xraygpt_core.ledger.training.features import keep_features, lose_features
from xraygpt_core.ledger.training.plan import PURGED
from xraygpt_core.ledger.training.runs import RunInput, needs_plan
from xraygpt_core.ledger.training.waiting import paused_now
from xraygpt_core.model.bundle import Bundle, file_sha256
from xraygpt_core.paths import user_cache
from xraygpt_core.training.config import Config, parse_config
from xraygpt_core.training.corpus import Corpus, Shard, write_corpus
from xraygpt_core.training.pairs import Pair, write_pairs

_POLL_SECONDS = 0.5
_LOOK_SECONDS = 2.0  # between two looks whether a person paused the run
_CHOICE = 4  # films for each that the report shows
_LOOKS = 5  # at a shard whose films are purged while it is looked at

log = logging.getLogger(__name__)


@dataclass
class CorpusBuilder:
    """Puts together the corpus of one run.

    Args:
        base: the bundle whose encoder makes the features that are not made.
        home: of the run on this machine; the corpus becomes ``home/corpus``.
        program: what is run to encode.
        devices: what it may use.
    """

    context: Context
    progress: JobProgress
    run: RunInput
    base: Bundle
    home: Path
    program: Sequence[str]
    devices: HeldDevices
    encoder: str = ""
    dropped: dict[tuple[int, int], tuple[Pair, str]] = field(default_factory=dict)  # by shard and position
    looked: float = field(default_factory=time.monotonic)
    shown: dict[str, dict[str, str]] = field(default_factory=dict)  # of each split: films the report may show

    def build(self) -> Path | None:
        """The corpus; None where the run was not planned, as it draws its films itself.

        Raises:
            TrainingError: no film is left, or its sets were not planned. LeaseLost, HandedBack, Unavailable.
        """
        numbers = shard_numbers(self.context.ledger, self.progress.claim)
        if not numbers:
            if needs_plan(self.run.config):  # the process would read whatever its sets name
                raise TrainingError("the run's sets were never planned: start it again")
            return None
        folder, config = self.home / "corpus", parse_config(self.run.config)
        folder.mkdir()
        self._cache.forget_all_but(features_keys(self.context.ledger))
        shards = tuple(shard for number in numbers for shard in self._shard(number, folder, config))
        note_dropped(self.context, self.progress.claim, folder, list(self.dropped.values()))
        if not shards:
            raise TrainingError("no film of the run's sets is left to train on")
        held_out = next((films for split in ("val", "test", "train") if (films := self.shown.get(split))), {})
        for sha256, key in held_out.items():
            self._picture(sha256, key, folder / "images")
        sets = config.mixture.sets if config.mixture is not None else ()
        write_corpus(Corpus(folder, self.encoder, shards, {one.name: one.weight for one in sets if not one.drawn}))
        return folder

    def _shard(self, number: int, folder: Path, config: Config) -> Iterator[Shard]:
        """The shard's files, if a film of it is left."""
        for _ in range(_LOOKS):
            self._alive()
            shard, texts = run_shard(self.context.ledger, self.progress.claim, number)
            self._note(shard, texts)
            if not shard.images:
                return
            name = f"features-{number:05}.safetensors"
            if not self._features(shard, folder / name):
                continue  # a film was purged, and the features with it; or the bucket lost them: look again
            pairs = self._pairs(shard, texts)
            self._show(shard, pairs, config.examples)
            self.encoder = shard.encoder
            yield Shard(f"pairs-{number:05}.jsonl", name, write_pairs(folder / f"pairs-{number:05}.jsonl", pairs))
            return
        raise TrainingError("prepared films of the run's sets are not in the derived bucket any more")

    def _note(self, shard: RunShard, texts: dict[int, dict[str, object]] | None) -> None:
        """Of what was purged nothing is told."""
        dropped = {int(position): why for position, why in shard.dropped.items() if why != PURGED}
        if dropped:
            told = self._told(shard, texts)
            new = {
                (shard.number, position): (told[position], why) for position, why in dropped.items() if position in told
            }
            self.dropped |= new

    def _told(self, shard: RunShard, texts: dict[int, dict[str, object]] | None) -> dict[int, Pair]:
        if shard.texts_key is not None:
            return dict(enumerate(read_texts(self.context.store, shard.texts_key)))
        return {position: pair_of(pair) for position, pair in (texts or {}).items()}

    def _pairs(self, shard: RunShard, texts: dict[int, dict[str, object]] | None) -> list[Pair]:
        told = self._told(shard, texts)
        rows = zip(shard.positions, shard.images, strict=True)
        return [replace(told[position], image=sha256) for position, sha256 in rows]

    def _show(self, shard: RunShard, pairs: Sequence[Pair], examples: int) -> None:
        """The report shows held-out films, if there are any; it chooses among the first ones."""
        for pair in pairs:
            films = self.shown.setdefault(pair.split, {})
            if len(films) < _CHOICE * examples:
                films[pair.image] = shard.key(pair.image)

    def _features(self, shard: RunShard, path: Path) -> bool:
        """Let the shard's features appear at ``path``. False: they are gone, or do not fit any more."""
        key = shard.features_key
        try:
            if key is None:
                key = self._encode(shard)
        except ObjectMissing:
            return False
        if key is None:
            return False
        try:
            self._cache.link(self.context.store, key, path)
        except (ObjectMissing, SpoiltFeatures) as error:
            log.warning("features are made again", extra={"error": type(error).__name__})
            lose_features(self.context.ledger, self.progress.claim, shard.features.features_id, key)
            return False
        return True

    @property
    def _cache(self) -> FeatureCache:
        settings = self.context.settings
        return FeatureCache(settings.training_cache or user_cache() / "training", settings.training_cache_bytes)

    def _encode(self, shard: RunShard) -> str | None:
        """Encode what is left to this worker, and keep it for others. The key; None: look at the shard again."""
        given = shard.features
        room = self.home / f"encode-{shard.number:05}"
        pairs, out = room / "pairs.jsonl", room / "features.safetensors"
        for sha256, key in zip(given.images, given.keys, strict=True):
            self._picture(sha256, key, room / "images")
        write_pairs(pairs, [Pair(one, "films", one, "train", one, None) for one in given.images])
        command = [sys.executable, *self.program, "encode", "--base", str(self.base.path), "--pairs", str(pairs)]
        command += ["--images", str(room / "images"), "--out", str(out)]
        if self.run.stage == "encoder":
            command += ["--below", str(parse_config(self.run.config).encoder.last)]
        with TrainingChild(command, room, self.devices.environment, self.devices.descriptors) as child:
            while (code := child.wait(_POLL_SECONDS)) is None:
                self._alive()
        if code:
            said = child.said()
            text = said.decode(errors="replace")
            error = outcome_of(exit_code(code, text), text).error
            error.said = said
            raise error
        key = f"training/features/{given.encoder}/{given.digest}-{file_sha256(out)}.safetensors"
        self.context.store.put_file(key, out)
        return key if keep_features(self.context.ledger, self.progress.claim, given, key) else None

    def _picture(self, sha256: str, key: str, folder: Path) -> None:
        path = inside(folder, f"{sha256}.png")
        self.context.store.get_file(key, path)
        if file_sha256(path) != sha256:
            raise TrainingError("a prepared film in the derived bucket is not the one that was prepared")
        self._alive()

    def _alive(self) -> None:
        if self.progress.lost.is_set():
            raise lease_lost(self.progress.claim)
        if self.context.draining.is_set():
            raise HandedBack("the worker is stopping; what was encoded is kept")
        if time.monotonic() - self.looked > _LOOK_SECONDS:
            self.looked = time.monotonic()
            if paused_now(self.context.ledger, self.run.run_id):
                raise HandedBack("the run is paused; what was encoded is kept")
        self.progress.report()


def local_corpus(
    context: Context,
    progress: JobProgress,
    run: RunInput,
    base: Bundle,
    home: Path,
    program: Sequence[str],
    devices: HeldDevices,
) -> Path | None:
    """As :meth:`CorpusBuilder.build`."""
    return CorpusBuilder(context, progress, run, base, home, program, devices).build()


def corpus_arguments(corpus: Path | None) -> list[str]:
    """What the training job is told of it."""
    return [] if corpus is None else ["--corpus", str(corpus)]
