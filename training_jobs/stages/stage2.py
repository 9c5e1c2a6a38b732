"""Stage 2: refine the base's projector on the LLM's answers alone, phantoms and real films mixed."""

from pathlib import Path

import torch

from training_jobs.stages.stage1 import base_projector, finish, frozen_llm, refiner, training_features
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.config import Config


def run(base: Bundle, out: Path, config: Config, resume: Path | None, cache: Path) -> None:
    """Go on from the base's projector; ``out/result/projector.safetensors`` when done."""
    torch.manual_seed(config.seed)
    projector = base_projector(base)
    features = training_features(base, config, cache)
    loss_of = refiner(projector, features, frozen_llm(base), base, config)
    finish("stage2", base, out, config, resume, projector, loss_of, config.steps)
