"""How often a text differs when the same study shares its batch with others: per precision, on the demo bundle."""

from contextlib import closing

import torch

from benchmarks.figures import Row, arguments, report, say
from training_jobs.drawers.drawings import draw, phantoms
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.fetch import fetch_demo_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.training.config import Phantoms

_STUDIES, _ROWS = 24, 16
_WAYS = (
    ("float32", torch.float32, False),
    ("bfloat16", torch.bfloat16, False),
    ("bfloat16.batch_invariant", torch.bfloat16, True),
)


def texts(
    bundle: Bundle, pictures: list[bytes], dtype: torch.dtype, at_once: int, *, invariant: bool = False
) -> list[str]:
    """Each study's text, where at most so many are asked for at once."""
    say(f"{dtype}, {at_once} at once{', batch-invariant' if invariant else ''}")
    with closing(Engine(bundle, device="cpu", batch_size=_ROWS, dtype=dtype, invariant=invariant)) as engine:
        answers: list[str] = []
        for start in range(0, len(pictures), at_once):
            asked = [engine.submit(GenerationRequest(picture)) for picture in pictures[start : start + at_once]]
            answers += [future.result().text for future in asked]
        return answers


def main() -> int:
    """Alone and among others: both precisions, and bfloat16 in one shape for all rows."""
    asked = arguments(__doc__)
    studies = 4 * _STUDIES if asked.full else _STUDIES
    bundle = fetch_demo_bundle(models_dir(), say)
    pictures = [draw(drawing).png for drawing in phantoms(Phantoms(studies, 10_000, "held_out"))]
    rows = []
    for name, dtype, invariant in _WAYS:
        in_batch = texts(bundle, pictures, dtype, _ROWS, invariant=invariant)
        alone = texts(bundle, pictures, dtype, 1, invariant=invariant)
        rows.append(Row(f"texts_that_differ.{name}", sum(map(str.__ne__, in_batch, alone)), "of", studies))
    report(rows, as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
