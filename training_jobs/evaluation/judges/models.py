"""Which model judges: one behind an endpoint, a language model's folder on our own engine, or a bundle's own.

Texts leave this machine by the curation's rule alone: ``--send-reports-out`` and HTTPS, for texts that may be sent.
"""

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

from training_jobs.curation.budget import Budget
from training_jobs.curation.command import endpoint_of, limits_of
from training_jobs.curation.rewriters import Model
from training_jobs.evaluation.judges.judging import Asking
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle, Decoding, read_bundle
from xraygpt_core.model.prompt import Template


def asking_of(options: argparse.Namespace, template: Template | None) -> Asking:
    """The model that the options name.

    Args:
        template: the words that a judge's own model was tuned with; None takes the bundle's.

    Raises:
        TrainingError: none or two are named, or texts would leave this machine unasked.
        BundleError: the bundle cannot be read.
    """
    named = [name for name in ("endpoint", "llm", "base") if getattr(options, name) is not None]
    if len(named) != 1:
        raise TrainingError("name one model: --endpoint URL, --llm FOLDER or --base BUNDLE")
    limits = limits_of(options)
    if named == ["endpoint"]:
        make, name = endpoint_of(options)
        return Asking(make, name, limits, options.parallel)
    bundle = read_bundle(options.base) if options.base is not None else bundle_of_llm(options.llm)
    return Asking(_engine(bundle, options, template), f"{bundle.name} {bundle.sha256[:12]}", limits, options.parallel)


def bundle_of_llm(folder: Path) -> Bundle:
    """A bundle of a Hugging Face LLaMA folder alone, for prompts without a picture; nothing is written.

    Its hash is that of its settings and of the names and sizes of its files.

    Raises:
        TrainingError: it is no such folder.
    """
    if not (folder / "config.json").is_file():
        raise TrainingError(f"{folder} is no language model's folder: config.json is missing")
    seen = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.iterdir()):
        seen.update(f"{path.name} {path.stat().st_size}".encode())
    return Bundle(
        name=folder.name,
        path=folder,
        sha256=seen.hexdigest(),
        encoder="",
        encoder_weights=folder,
        encoder_options={},
        projector=None,
        projector_weights=None,
        llm=folder,
        adapter=None,
        template="vicuna-v1.1",
        question="",
        stop=("</s>",),
        decoding=Decoding(),
        files={},
    )


def _engine(bundle: Bundle, options: argparse.Namespace, template: Template | None) -> Callable[[Budget], Model]:
    def make(budget: Budget) -> Model:
        from training_jobs.curation.text_engine import TextEngine  # torch, only where it is needed

        del budget  # it costs nothing
        return TextEngine(
            bundle,
            device=options.device,
            batch_size=options.parallel,
            max_new_tokens=options.max_answer_tokens,
            template=template,
        )

    return make
