"""How often a text differs when the same study shares its batch with others: per precision, on the demo bundle."""

import torch

from benchmarks.figures import Row, arguments, report, say
from training_jobs.config import Phantoms
from training_jobs.data import draw, phantom_studies
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.engine.requests import SummaryRequest
from xraygpt_core.model.fetch import fetch_demo_bundle
from xraygpt_core.settings import models_dir

_STUDIES = 24


def texts(bundle: Bundle, pictures: list[bytes], dtype: torch.dtype, rows: int) -> list[str]:
    """Each study's text, in batches of at most so many rows."""
    say(f"{dtype}, {rows} rows")
    engine = Engine(bundle, device="cpu", batch_size=rows, dtype=dtype)
    try:
        return [made.result().text for made in [engine.submit(SummaryRequest(picture)) for picture in pictures]]
    finally:
        engine.close()


def main() -> int:
    """Alone and among others, in both precisions."""
    asked = arguments(__doc__)
    studies = 4 * _STUDIES if asked.full else _STUDIES
    bundle = fetch_demo_bundle(models_dir(), say)
    pictures = [draw(study)[0] for study in phantom_studies(Phantoms(studies, 10_000, "held_out"), 0.0)]
    rows, reference = [], []
    for dtype in (torch.float32, torch.bfloat16):
        together = texts(bundle, pictures, dtype, 16)
        alone = texts(bundle, pictures, dtype, 1)
        reference = reference or together
        name = str(dtype).removeprefix("torch.")
        rows.append(Row(f"texts_that_differ.{name}", sum(map(str.__ne__, together, alone)), "of", studies))
        rows.append(Row(f"texts_not_as_float32.{name}", sum(map(str.__ne__, together, reference)), "of", studies))
    report(rows, as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
