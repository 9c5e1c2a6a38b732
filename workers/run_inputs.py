"""The other files a run's configuration names: from the hospital's bucket, or below XRAYGPT_TRAINING_DATA."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.context import Context
from workers.set_files import folder_below, key_of
from xraygpt_core.errors import ObjectMissing, ObjectReplaced, Rejected, TrainingError
from xraygpt_core.training.datasets.files import S3


def local_inputs(context: Context, config: dict[str, Any], folder: Path, alive: Callable[[], None]) -> dict[str, Any]:
    """The configuration with paths of this machine for its conversations and its projector.

    Raises:
        TrainingError: a file lies elsewhere, or is not there. It is not named: its name may be a patient's.
        Unavailable: the bucket does not answer.
    """
    found = dict(config)
    conversations, projector = config.get("conversations"), config.get("projector")
    if conversations and (files := conversations.get("files")):
        local = [_local(context, str(file), folder / f"conversations-{number}") for number, file in enumerate(files)]
        found["conversations"] = conversations | {"files": local}
        alive()
    if projector and (file := projector.get("file")) is not None:
        found["projector"] = projector | {"file": _local(context, str(file), folder / "projector")}
        alive()
    return found


def _local(context: Context, file: str, folder: Path) -> str:
    if not file.startswith(S3):
        return str(folder_below(file, context.settings.training_data))
    store, key = context.store, key_of(file, context.store)
    try:
        etag = store.head(store.bucket, key).etag
        data = store.read(store.bucket, key, etag=etag, max_bytes=context.settings.max_object_bytes)
    except (ObjectMissing, ObjectReplaced):
        raise TrainingError("a file that the run names is not in the bucket") from None
    except Rejected as error:
        raise TrainingError(f"a file that the run names is too large: {error}") from None
    folder.mkdir(parents=True)
    path = folder / f"file{Path(key).suffix[:16]}"  # its reader goes by the suffix
    path.write_bytes(data)
    return str(path)
