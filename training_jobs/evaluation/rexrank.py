"""ReXrank's contract: ``inference INPUT.json OUTPUT.json IMAGE_ROOT`` writes a text for each study.

Read in rajpurkarlab/ReXrank (``data/READMD.md``, ``example_files/submission_tutorial.md`` and
``merversa_inference.py``): the input is an object of studies; ``key_image_path`` is the frontal film for models that
take one image, ``image_path`` lists all, ``frontal_lateral`` says which is which. The output is the same object with
``model_prediction`` in every study. ``context`` (age, indication) may be used, and is not used here: no bundle of ours
was trained with it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training_jobs.evaluation.kept_texts import KeptTexts, some
from training_jobs.evaluation.writing import Notify
from xraygpt_core.durable import write_complete
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.datasets.files import FolderFiles

Study = Mapping[str, Any]


def infer(bundle: Bundle, given: Path, out: Path, images: Path, *, batch: int, device: str, notify: Notify) -> int:
    """Write the bundle's text of each study; how many there are.

    Each text is on disk (``OUT.part.jsonl``) before the next is waited for, and a run that was killed goes on from
    there. ``out`` is written once, whole, when every study has its text.

    Raises:
        TrainingError: the input is no object of studies; images are missing or broken, naming their studies; another
            bundle or input is at work there.
    """
    raw = _read(given)
    studies = _studies(raw, given)
    films = _films(studies, images)
    what = f"{bundle.sha256} {hashlib.sha256(raw).hexdigest()}"
    with KeptTexts(out.with_name(f"{out.name}.part.jsonl"), what) as kept:
        kept.write(bundle, films, batch=batch, device=device, notify=notify)
        result = {uid: {**study, "model_prediction": kept.texts[uid]} for uid, study in studies.items()}
        write_complete(out, json.dumps(result, indent=4) + "\n")
        kept.remove()
    return len(films)


def film_of(study: Study) -> str:
    """The path of the film that a model of one image gets: the key image, or else the first frontal, or the first.

    Raises:
        KeyError, TypeError: the study names no image.
    """
    key = study.get("key_image_path")
    if isinstance(key, str) and key:
        return key
    paths, views = study["image_path"], study.get("frontal_lateral") or []
    frontal = [path for path, view in zip(paths, views, strict=False) if str(view).lower() == "frontal"]
    return str((frontal or list(paths))[0])


def _read(given: Path) -> bytes:
    try:
        return given.read_bytes()
    except OSError as error:
        raise TrainingError(f"{given} cannot be read: {error.strerror}") from error


def _studies(raw: bytes, given: Path) -> dict[str, Study]:
    try:
        studies = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{given} is no JSON: {type(error).__name__}") from error
    if not isinstance(studies, dict) or not studies or not all(isinstance(one, dict) for one in studies.values()):
        raise TrainingError(f"{given} is no object of studies")
    return studies


def _films(studies: Mapping[str, Study], images: Path) -> dict[str, Path]:
    """The image file of each study; all are looked for before the first text is written."""
    root, found, missing = FolderFiles(images), dict[str, Path](), list[str]()
    for uid, study in studies.items():
        try:
            file = root.path(film_of(study).lstrip("/"))
        except (KeyError, TypeError, IndexError):
            missing.append(f"{uid} (it names no image)")
            continue
        except TrainingError:
            missing.append(f"{uid} (its path leads out of {images})")
            continue
        found[uid] = file
        if not file.is_file():
            missing.append(uid)
    if missing:
        raise TrainingError(f"no image for {some(missing)} below {images}")
    return found
