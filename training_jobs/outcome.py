"""``result.json``: what a job did, beside its weights."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training_jobs.config import Config
from xraygpt_core.model.bundle import Bundle


def write_result(folder: Path, job: str, base: Bundle, config: Config, *, loss: float, **more: Any) -> None:
    """The job's name, its base, its settings and its last loss."""
    settings = asdict(config) | {"films": config.films is not None}  # no path of this machine
    result = {
        "job": job,
        "base": base.name,
        "base_sha256": base.sha256,
        "config": settings,
        "loss": _number(loss),
        **more,
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
