"""The prepare jobs: the films of a shard become normalised pictures, by the same sandbox as ingest's; or are dropped.

What was done stays done: a shard that was begun goes on with the next film.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping

from workers.context import Context
from workers.executor import HandedBack
from workers.give_way import give_way
from workers.heartbeat import JobProgress
from workers.ingest import Normaliser, sandbox_of
from workers.set_files import bucket_and_key, read_place
from workers.shard_files import Placed, read_addresses
from xraygpt_core.errors import ObjectMissing, ObjectReplaced, Rejected, TrainingError
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.objects import purged_objects
from xraygpt_core.ledger.training.features import picture_key
from xraygpt_core.ledger.training.plan import PURGED
from xraygpt_core.ledger.training.shards import Outcome, complete_shard, note_images, shard_input
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, ReasonCode
from xraygpt_core.training.datasets.files import LeadsOut

MISSING = "missing"  # why an image is dropped: nothing lies there any more

_SIDEWAYS = ("LATERAL", "OBLIQUE")
_NOTE = 16  # films; so many are read again after a kill
_YIELD_SECONDS = 1.0  # how long a film waits for routine work of this process, at most


class Prepare:
    """The prepare jobs of one process, one at a time."""

    def __init__(self, context: Context, normaliser: Callable[[Settings], Normaliser] = sandbox_of) -> None:
        self._context = context
        self._normaliser = normaliser
        self._sandbox: Normaliser | None = None
        self._lock = threading.Lock()

    def __call__(self, claim: Claim, progress: JobProgress) -> None:
        """Prepare what is still open of one shard."""
        given = shard_input(self._context.ledger, claim)
        placed = read_addresses(self._context.store, given.addresses_key)
        if len(placed) != given.images:
            raise TrainingError("the list of a shard's films has another length than the ledger says")
        with self._lock:
            for start in range(0, len(given.open), _NOTE):
                positions = given.open[start : start + _NOTE]
                done = self._some({position: placed[position] for position in positions}, progress)
                if done:
                    note_images(self._context.ledger, claim, done)
        if self._context.draining.is_set():
            raise HandedBack("the worker is stopping; the shard goes on with the next film")
        complete_shard(self._context.ledger, claim)

    def _some(self, placed: Mapping[int, Placed], progress: JobProgress) -> dict[int, Outcome]:
        """What becomes of these films, by position; less than all where the worker is to stop."""
        objects = {position: (*bucket_and_key(one.place), one.version) for position, one in placed.items()}
        purged = purged_objects(self._context.ledger, objects)
        done: dict[int, Outcome] = {}
        for position, one in placed.items():
            if self._context.draining.is_set():
                break
            give_way(self._context, JobKind.PREPARE, _YIELD_SECONDS)
            progress.check()
            done[position] = Outcome(dropped=PURGED) if position in purged else self._one(one)
        return done

    def _one(self, placed: Placed) -> Outcome:
        settings, store = self._context.settings, self._context.store
        try:
            data = read_place(placed.place, placed.version, store, settings.training_data, settings.max_object_bytes)
            png = self._normalise(data)
        except Rejected as rejection:
            return Outcome(dropped=rejection.reason)
        except ObjectReplaced:
            return Outcome(dropped=ReasonCode.REPLACED)
        except (ObjectMissing, LeadsOut):
            return Outcome(dropped=MISSING)
        sha256 = hashlib.sha256(png).hexdigest()
        store.put(picture_key(sha256, signed=False), png, "image/png")
        return Outcome(sha256=sha256)

    def _normalise(self, data: bytes) -> bytes:
        if self._sandbox is None:
            self._sandbox = self._normaliser(self._context.settings)
        image = self._sandbox.normalise(data)
        if image.view in _SIDEWAYS:
            raise Rejected(ReasonCode.NO_FRONTAL_VIEW, "its header says that it is no frontal film")
        return image.normalised_png

    def close(self) -> None:
        """End the sandbox's process."""
        if self._sandbox is not None:
            self._sandbox.close()
