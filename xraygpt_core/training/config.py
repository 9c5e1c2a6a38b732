"""The configuration of a training job: every key, its type and its bounds. Checked when a run is queued and when it
starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.mixture import Mixture, parse_mixture
from xraygpt_core.training.presets import with_preset
from xraygpt_core.training.typed import Limits, read_object

_MAX_PATH = 1024  # letters


@dataclass(frozen=True)
class Phantoms:
    """Which phantoms to draw: ``count`` seeds from ``seed`` on, of one population."""

    count: int = 2000
    seed: int = 0
    population: str = "train"


@dataclass(frozen=True)
class ProjectorChoice:
    """The projector that a run makes where it starts from nothing; from the base's or a file, that one's class.

    Attributes:
        layers: of an ``MlpProjector``: how many linear layers.
        width: of an ``MlpProjector``: its hidden width.
        file: what to start from, with ``start = "file"``: an XrayGPT ``.pth`` or a projector of ours.
    """

    kind: str = "MapProjector"
    layers: int = 4
    width: int = 1024
    file: str | None = None


@dataclass(frozen=True)
class EncoderTuning:
    """How the job ``encoder`` trains.

    Attributes:
        last: how many of the encoder's last blocks learn; those below are computed once.
        layers: what a convolutional encoder gives to the projector afterwards; none: what it gives in the base.
        matching: how much MedCLIP's semantic matching with the texts counts beside the labels; 0: no text is read.
    """

    last: int = 5
    layers: tuple[str, ...] = ()
    matching: float = 0.2


@dataclass(frozen=True)
class LlmTuning:
    """Whether and how the language model is trained.

    Attributes:
        tune: ``none`` freezes it, ``lora`` trains an adapter, ``full`` every weight.
        strategy: with several processes: ``replicate`` the model in each, or ``shard`` it over them (FSDP).
    """

    tune: str = "none"
    rank: int = 16
    alpha: int = 32
    gradient_checkpointing: bool = False
    strategy: str = "replicate"


@dataclass(frozen=True)
class Text:
    """What the model is asked, and what it shall write.

    Attributes:
        prompts: ``bundle`` asks the bundle's question, ``many`` one of the fifteen for each batch, ``none`` nothing.
        end_symbol: what ends a text, and is trained; None: the bundle's first stop sequence.
        max_tokens: a text is cut there, before its end symbol.
        indication: the indication stands in the prompt where a pair has one.
        paraphrases: share of steps that take another wording of a text where there is one.
    """

    prompts: str = "bundle"
    end_symbol: str | None = None
    max_tokens: int = 160
    indication: bool = False
    paraphrases: float = 0.0


@dataclass(frozen=True)
class Conversations:
    """Dialogues the medical LLM is tuned on, in ChatDoctor's or FastChat's JSON.

    Attributes:
        files: their paths.
        keywords: the named list a dialogue must meet, or None for all of them.
        max_tokens: a longer dialogue is cut there.
    """

    files: tuple[str, ...] = ()
    keywords: str | None = None
    max_tokens: int = 2048


@dataclass(frozen=True)
class Config:
    """Settings of one job; docs/training.md says what each means."""

    preset: str | None = None
    mixture: Mixture | None = None  # None: phantoms and sketches as below, and ``films``
    steps: int = 200
    epochs: float | None = None  # instead of steps: passes over the training pairs
    batch: int = 16  # samples of an optimizer step, over all processes
    micro_batch: int | None = None  # samples at once in a process; None: the process's whole share
    lr: float = 1e-3
    min_lr: float | None = None  # None: a tenth of lr
    warmup_lr: float | None = None  # what the warm-up begins at; None: its first step of equal ones
    schedule: str = "cosine"
    seed: int = 0
    checkpoint_every: int = 50
    warmup: int = 20
    warmup_share: float | None = None  # instead of warmup: the share of the steps
    weight_decay: float = 0.01
    beta2: float = 0.999
    clip: float = 1.0  # 0: gradients are not clipped
    precision: str = "float32"
    start: str = "new"  # stage 1: "new" makes a projector, "base" goes on from the base's, "file" from projector.file
    projector: ProjectorChoice = ProjectorChoice()
    encoder: EncoderTuning = EncoderTuning()
    llm: LlmTuning = LlmTuning()
    text: Text = Text()
    conversations: Conversations = Conversations()
    align_steps: int = 400  # stage 1: steps of the start, without the LLM
    examples: int = 10  # films in the report, each with its text and its controls
    augment: float = 0.8  # share of phantoms that are augmented
    phantoms: Phantoms = Phantoms()
    sketches: int = 0  # crude pictures of another hand, mixed in with the phantoms
    films: str | None = None
    workers: int = 1  # processes that draw and encode films; 2 or more draw beside the encoder


_LIMITS = Limits(
    # Above the most a machine runs out of memory, processes or days.
    bounds={
        "steps": (0, 10**6),
        "epochs": (0.0, 10**4),
        "batch": (1, 4096),
        "micro_batch": (1, 4096),
        "lr": (0.0, 10.0),
        "min_lr": (0.0, 10.0),
        "warmup_lr": (0.0, 10.0),
        "seed": (0, 2**32 - 1),
        "checkpoint_every": (1, 10**6),
        "warmup": (0, 10**6),
        "warmup_share": (0.0, 1.0),
        "weight_decay": (0.0, 10.0),
        "beta2": (0.0, 0.999999),
        "clip": (0.0, 1e6),
        "projector.layers": (1, 16),
        "projector.width": (1, 65536),
        "encoder.last": (1, 64),
        "encoder.matching": (0.0, 100.0),
        "llm.rank": (1, 1024),
        "llm.alpha": (1, 4096),
        "text.max_tokens": (1, 4096),
        "text.paraphrases": (0.0, 1.0),
        "conversations.max_tokens": (16, 65536),
        "align_steps": (0, 10**6),
        "examples": (0, 100),
        "augment": (0.0, 1.0),
        "sketches": (0, 10**6),
        "workers": (1, 64),
        "phantoms.count": (1, 10**6),
        "phantoms.seed": (0, 2**32 - 1),
    },
    words={
        "start": ("new", "base", "file"),
        "schedule": ("cosine", "cosine-whole-run", "constant"),
        "precision": ("float32", "bfloat16", "float16"),
        "projector.kind": ("LinearProjector", "MlpProjector", "MapProjector"),
        "llm.tune": ("none", "lora", "full"),
        "llm.strategy": ("replicate", "shard"),
        "text.prompts": ("bundle", "many", "none"),
        "phantoms.population": ("train", "held_out"),
    },
)


def parse_config(data: object) -> Config:
    """The keys of a JSON object over the values of its preset, and these over the defaults.

    Raises:
        TrainingError: an unknown key or preset, a value of the wrong type, or one out of bounds.
    """
    if not isinstance(data, Mapping):
        raise TrainingError("the configuration must be an object")
    data = with_preset(data)
    own: dict[str, Any] = {key: value for key, value in data.items() if key != "mixture"}
    config = read_object(Config, own, _LIMITS)
    if config.films is not None and not (0 < len(config.films) <= _MAX_PATH and config.films.isprintable()):
        raise TrainingError("films is no name of a folder")
    mixture = data.get("mixture")
    return config if mixture is None else replace(config, mixture=parse_mixture(mixture))
