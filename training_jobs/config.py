"""The configuration of a training job: a JSON file and a few flags."""

import json
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training_config import Config, Phantoms, parse_config

__all__ = ["Config", "Phantoms", "read_config"]


def read_config(file: Path | None, **flags: Any) -> Config:
    """The file's keys over the defaults, flags that are not None over both.

    Raises:
        TrainingError: an unknown key, a value of the wrong type, or one out of bounds.
    """
    try:
        data = json.loads(file.read_text()) if file else {}
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{file} is not a readable JSON file: {error}") from error
    if not isinstance(data, dict):
        raise TrainingError("the configuration must be an object")
    return parse_config(data | {key: value for key, value in flags.items() if value is not None})
