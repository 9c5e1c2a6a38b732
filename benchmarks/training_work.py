"""What every way of training gets to do: the same features, the same texts, the same frozen LLaMA, the same steps."""

import math
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BEFORE, AFTER = 9, 25  # tokens of xraygpt-code's prompt around the image, in LLaMA's tokens
# Tokens of a text, its end among them. ``open-i``: findings and impression of the 2,760 reports that the paper's rules
# keep, in SmolLM2's tokens: log-normal, median 57; cut at 160 as the released code cuts. ``long``: evenly 40 to 160.
MEDIAN, SPREAD, SHORTEST, LONGEST = 57.4, 0.433, 20, 160
LENGTHS = ("open-i", "long")
CHANNELS = 512  # of MedCLIP's pooled vector
PAD = 0
RATE, DECAY, CLIP = 1e-4, 0.05, 1.0

SHAPES: dict[str, dict[str, int]] = {
    "hidden512": {
        "vocab_size": 32000,
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
    },
    # the demo's language model, SmolLM2-135M
    "demo": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
}


@dataclass(frozen=True)
class Sample:
    """Ids after the image, of which the first ``AFTER`` are the prompt's, and a row of the features."""

    row: int
    after: list[int]

    @property
    def labels(self) -> list[int]:
        return [-100] * AFTER + self.after[AFTER:]


@dataclass(frozen=True)
class Work:
    """``before`` stands before every image; ``features`` is (samples, positions, channels), float16, as cached."""

    before: list[int]
    samples: list[Sample]
    features: NDArray[np.float16]
    batch: int

    def of(self, step: int) -> list[Sample]:
        """The batch of a step."""
        return self.samples[step * self.batch : (step + 1) * self.batch]

    def labelled(self, first: int) -> int:
        """Label tokens from a step on."""
        return sum(len(sample.after) - AFTER for sample in self.samples[first * self.batch :])


@dataclass
class TrainingResult:
    """What one way did in its timed steps.

    Attributes:
        labelled: label tokens that were learned from.
        losses: of every step, the untimed first one included.
        weights: the sum of the projector's magnitudes afterwards: ways that do the same end at the same.
        parts: seconds by part.
    """

    samples: int
    labelled: int
    seconds: float
    core_seconds: float
    peak_mib: float
    losses: list[float]
    weights: float
    parts: dict[str, float] = field(default_factory=dict)


def work(shape: str, steps: int, batch: int, positions: int, lengths: str) -> Work:
    """The same for the same arguments."""
    chance, numbers = random.Random(0), np.random.default_rng(0)
    vocabulary = SHAPES[shape]["vocab_size"]

    def ids(count: int) -> list[int]:
        return [chance.randrange(10, vocabulary) for _ in range(count)]

    def length() -> int:
        if lengths == "long":
            return chance.randint(2 * SHORTEST, LONGEST)
        return int(min(max(chance.lognormvariate(math.log(MEDIAN), SPREAD), SHORTEST), LONGEST))

    before, asked = ids(BEFORE), ids(AFTER)
    samples = [Sample(row, asked + ids(length())) for row in range(steps * batch)]
    features = numbers.standard_normal((len(samples), positions, CHANNELS)).astype(np.float16)
    return Work(before, samples, features, batch)


def models(shape: str) -> tuple[Any, nn.Linear]:
    """A LLaMA of random weights, frozen, and a projector to train; float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=2048, tie_word_embeddings=shape == "demo")
    llm = LlamaForCausalLM(config).eval().requires_grad_(False)
    return llm, nn.Linear(CHANNELS, SHAPES[shape]["hidden_size"])


def padded(given: Work, samples: list[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids without the image, labels, and the mask of what is no padding, each (batch, longest)."""
    rows = [given.before + sample.after for sample in samples]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    labels = [[-100] * BEFORE + sample.labels for sample in samples]
    wanted = torch.tensor([row + [-100] * (longest - len(row)) for row in labels])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, wanted, mask


class ImageLanguageModel(nn.Module):
    """MiniGPT-4's forward pass as transformers has it: embed, put the image in, labels into the model."""

    def __init__(self, llm: Any, projector: nn.Linear) -> None:
        super().__init__()
        self.llm, self.projector = llm, projector

    def forward(self, features: Tensor, input_ids: Tensor, labels: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """The model's own mean cross-entropy over the labels."""
        image = self.projector(features)
        text = self.llm.get_input_embeddings()(input_ids)
        seen = torch.cat([text[:, :BEFORE], image, text[:, BEFORE:]], 1)
        gap = labels.new_full(image.shape[:2], -100)
        wanted = torch.cat([labels[:, :BEFORE], gap, labels[:, BEFORE:]], 1)
        mask = torch.cat([attention_mask.new_ones(image.shape[:2]), attention_mask], 1)
        loss: Tensor = self.llm(inputs_embeds=seen, labels=wanted, attention_mask=mask, use_cache=False).loss
        return {"loss": loss}
