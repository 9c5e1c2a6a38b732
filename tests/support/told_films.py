"""Small corpora whose features tell what their texts say, so that a loss falls; and bundles to train on them."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.support.published_parts import Parts, quiet
from tests.support.tiny_bundle import write_tiny_llm
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import new_bundle, write_bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.encoder import ENCODERS, load_encoder
from xraygpt_core.model.feature_shards import write_features
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.training.corpus import Corpus, Shard, write_corpus
from xraygpt_core.training.pairs import Pair, write_pairs

TEXTS = (
    "No pneumothorax. The lungs are clear.",
    "There is a left pleural effusion.",
    "The heart is enlarged.",
    "A right pneumothorax is seen.",
)


def published_bundle(models: Path, parts: Parts, name: str = "narrow", template: str = "xraygpt-code") -> Bundle:
    """MedCLIP's shape, a linear projector and a LLaMA, imported as they are published; narrow, and seeded."""
    wanted = ImportRequest(
        parts.encoder, parts.projector, parts.llm, template=template, max_new_tokens=6, dtype="float32"
    )
    return import_bundle(models, name, wanted, quiet)[0]


def told_pairs(count: int, held_out: int, indication: str | None = None) -> list[Pair]:
    """Pairs of that many patients; the last ``held_out`` are of the validation split."""
    return [
        Pair(
            f"f{number}",
            "told",
            f"p{number}",
            "val" if number >= count - held_out else "train",
            f"{number:064x}",
            TEXTS[number % len(TEXTS)],
            indication=indication,
        )
        for number in range(count)
    ]


def told_corpus(path: Path, base: Bundle, *, pairs: list[Pair] | None = None, seed: int = 0) -> Corpus:
    """Features of the shape that the base's encoder gives: the text's own vector, and a little noise."""
    encoder = load_encoder(base.encoder, base.encoder_weights, dict(base.encoder_options))
    pairs = told_pairs(24, 8) if pairs is None else pairs
    rng = np.random.default_rng(seed)
    shape = (encoder.positions, encoder.channels)
    told = {text: rng.standard_normal(shape) for text in TEXTS}
    values = [told[pair.text or TEXTS[0]] + 0.1 * rng.standard_normal(shape) for pair in pairs]
    path.mkdir(parents=True)
    write_pairs(path / "pairs-00000.jsonl", pairs)
    digest = encoder_digest(base)
    write_features(path / "features-00000.safetensors", np.stack(values).astype(np.float16), digest)
    corpus = Corpus(path, digest, (Shard("pairs-00000.jsonl", "features-00000.safetensors", len(pairs)),), {})
    write_corpus(corpus)
    return corpus


def raddino_bundle(models: Path, name: str = "raddino") -> Bundle:
    """RAD-DINO's shape (four patches), no projector yet, and a LLaMA that is asked as MAIRA-1 asks."""
    options = {"size": 28, "patch": 14, "width": 16, "layers": 1, "heads": 2, "inner": 32}
    return _base(models, name, "RadDino", options, ("maira-1", "Provide a description of the findings.", "</s>"))


def qformer_bundle(models: Path, name: str = "qformer") -> Bundle:
    """The shape of the public code's encoder: three query tokens of a Q-Former."""
    options = {"size": 28, "patch": 14, "width": 16, "layers": 1, "heads": 2, "inner": 32, "queries": 3}
    options |= {"query_width": 24, "query_layers": 2, "query_heads": 2, "query_inner": 32}
    return _base(models, name, "Blip2Encoder", options, ("xraygpt-code", "Describe the film.", "###"))


def _base(models: Path, name: str, kind: str, options: dict[str, int], words: tuple[str, str, str]) -> Bundle:
    template, question, stop = words
    with new_bundle(models, name) as (work, commit), torch.random.fork_rng():
        torch.manual_seed(0)
        state = next(one for one in ENCODERS if one.__name__ == kind)(None, **options).state_dict()
        values = {key: 0.1 * torch.randn(value.shape) for key, value in state.items() if value.is_floating_point()}
        save_file(values, work / "encoder.safetensors")
        write_tiny_llm(work / "llm")
        tables = {
            "encoder": {"class": kind, "weights": "encoder.safetensors", **options},
            "llm": {"folder": "llm"},
            "prompt": {"template": template, "question": question, "stop": [stop]},
            "decoding": {"max_new_tokens": 8, "do_sample": False},
        }
        write_bundle(work, name, tables)
        return commit()
