"""The projector a run trains: made from the sizes of encoder and LLM, the base's, or a file's."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training_jobs.stages.slots import Codebook
from training_jobs.stages.xraygpt_file import check_file, read_start
from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm
from xraygpt_core.model.projector import (
    LinearProjector,
    MapProjector,
    MapSizes,
    MlpProjector,
    Projector,
    load_projector,
)
from xraygpt_core.training.config import Config, ProjectorChoice

_PLAIN_TOKENS = 32  # of a MapProjector whose tokens have no meaning given: as many as a Q-Former's


@dataclass(frozen=True)
class Made:
    """The projector, and how it came to be, for the result."""

    projector: Projector
    told: str


def starting_projector(base: Bundle, config: Config, llm: Llm, sample: Tensor, *, labelled: bool) -> Made:
    """The projector as ``config.start`` has it, seeded; an untrained one has the class of ``config.projector``.

    Args:
        sample: some features (pictures, positions, channels), which a ``MapProjector`` is standardised with.
        labelled: whether pairs say what each token of the demo's should mean.

    Raises:
        BundleError: the base has no projector to go on from.
        TrainingError: the projector to start from fits another encoder or LLM.
    """
    _, positions, channels = sample.shape
    if config.start == "file":
        begun = read_start(_start_file(config), positions, channels, llm.hidden, base.encoder)
        rest = f"; ignored: {', '.join(begun.ignored)}" if begun.ignored else ""
        return Made(begun.projector, f"from a file{rest}")
    if config.start == "base":
        return Made(base_projector(base), "from the base")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        projector = new_projector(config.projector, sample, llm, labelled=labelled)
    return Made(projector, "from nothing")


def check_start(base: Bundle, config: Config) -> None:
    """Whether there is a projector to start from, before hours of encoding.

    Raises:
        BundleError: the base has none to go on from.
        TrainingError: the file is not there, or holds none.
    """
    if config.start == "base":
        base_projector(base)
    if config.start == "file":
        check_file(_start_file(config))


def _start_file(config: Config) -> Path:
    if config.projector.file is None:
        raise TrainingError("start=file needs projector.file: an XrayGPT .pth, or a projector of ours")
    return Path(config.projector.file)


def new_projector(choice: ProjectorChoice, sample: Tensor, llm: Llm, *, labelled: bool) -> Projector:
    """An untrained projector for features like ``sample`` and this LLM. Draws from torch's global state."""
    _, positions, channels = sample.shape
    match choice.kind:
        case "LinearProjector":
            return LinearProjector(channels, llm.hidden)
        case "MlpProjector":
            return MlpProjector([channels, *[choice.width] * (choice.layers - 1), llm.hidden])
        case _:
            base, directions = _meanings(llm) if labelled else _anywhere(llm)
            projector = MapProjector(MapSizes(positions, channels, *base.shape))
            vectors = sample.flatten(0, 1)
            projector.start(vectors.mean(0), vectors.std(0), base, directions)
            return projector


def base_projector(base: Bundle) -> Projector:
    """The base's projector.

    Raises:
        BundleError: the base has none, or it cannot be read.
    """
    if base.projector is None or base.projector_weights is None:
        raise BundleError(f"bundle {base.name!r} has no projector to refine; run stage 1 first")
    return load_projector(base.projector, base.projector_weights)


def _meanings(llm: Llm) -> tuple[Tensor, Tensor]:
    """One token a slot: halfway between "there" and "not there", (slots, hidden), and the way between them."""
    codebook = Codebook(llm)
    return (codebook.absent + codebook.present) / 2, codebook.present - codebook.absent


def _anywhere(llm: Llm) -> tuple[Tensor, Tensor]:
    """Tokens that mean nothing yet, (tokens, hidden): the mean of the LLM's embeddings, and steps as long as one."""
    table = llm.model.get_input_embeddings().weight.detach().float().cpu()
    directions = torch.nn.functional.normalize(torch.randn(_PLAIN_TOKENS, llm.hidden), dim=1)
    return table.mean(0).expand(_PLAIN_TOKENS, -1), directions * table.norm(dim=1).mean()
