"""Sets of every layout where a run of the queue reads them: phantoms and their reports; settings of a short run."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from tests.support.ledger_tools import sign, study_of, summarise
from tests.support.training_lab import Lab
from tests.support.training_sets import make_set, text
from tests.support.worker_bench import claim_some
from workers.executor import run_batch
from workers.ingest import Ingest, Normaliser
from workers.settle import Settle
from xraygpt_core.dicom.write import phantom_dicom
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.states import JobKind, ReviewState

LAYOUTS = ("filter-cap", "mimic-cxr", "open-i", "table", "ledger")
_SPLIT = {"split": "by-patient", "validation": 0.25, "test": 0.0}
_SIDE = 256

# A narrow model in a few steps needs a higher rate than a wide one in many; the rest is the preset's.
FEW: dict[str, Any] = {"steps": 40, "batch": 8, "warmup": 2, "lr": 0.01, "min_lr": 0.005, "text": {"max_tokens": 12}}


def laid_out(lab: Lab, sandbox: Normaliser | None, layout: str, seeds: Sequence[int]) -> dict[str, Any]:
    """A set of the mixture: a table of DICOM files in the bucket, a folder, or (with a sandbox) signed studies."""
    if layout == "ledger":
        assert sandbox is not None
        signed_studies(lab, sandbox, seeds)
        return {"name": layout, "reader": layout, "select": "reviewed since 2020-01-01", **_SPLIT}
    if layout == "table":
        return {"name": layout, "reader": layout, "path": table_in_bucket(lab, seeds)} | _SPLIT
    make_set(layout, lab.root / layout, seeds)
    return {"name": layout, "reader": layout, "path": layout} | _SPLIT


@cache
def drawn(seed: int) -> bytes:
    """A phantom as a DICOM file; every seed is another patient."""
    phantom, uid = draw_phantom(seed, side=_SIDE), f"1.2.826.0.1.{seed}"
    return phantom_dicom(
        phantom.pixels,
        view=phantom.view,
        patient_id=f"PHANTOM{seed}",
        study_uid=uid,
        sop_uid=f"{uid}.1",
        accession=f"A{seed}",
        bits_stored=phantom.bits_stored,
    )


def table_in_bucket(lab: Lab, seeds: Sequence[int]) -> str:
    """A table whose films are DICOM files at ``s3://`` addresses; its own address."""
    bucket, rows = lab.bench.settings.bucket, []
    for seed in seeds:
        lab.bench.upload(f"sets/films/{seed}.dcm", drawn(seed))
        address = f"s3://{bucket}/sets/films/{seed}.dcm"
        rows.append({"id": f"row-{seed}", "patient": f"p{seed}", "image": address, "text": text(seed)})
    lab.bench.upload("sets/pairs.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    return f"s3://{bucket}/sets/pairs.jsonl"


def signed_studies(lab: Lab, sandbox: Normaliser, seeds: Sequence[int]) -> list[UUID]:
    """Studies that came as DICOM files, were read, settled and summarised, and whose draft was corrected and signed."""
    bench, context = lab.bench, lab.context
    reader = Ingest(context, load_pseudonymiser(context.settings), lambda _: sandbox)
    registered = [bench.register(f"incoming/{seed}.dcm", drawn(seed)) for seed in seeds]
    run_batch(context, claim_some(bench.ledger, JobKind.INGEST, len(registered)), reader)
    run_batch(context, claim_some(bench.ledger, JobKind.SETTLE, len(registered)), Settle(context))
    ids = [study_of(bench.ledger, one.image_id) for one in registered]
    for seed, study_id in zip(seeds, ids, strict=True):
        sign(bench.ledger, summarise(bench.ledger, study_id), ReviewState.EDITED, text(seed))
    return ids
