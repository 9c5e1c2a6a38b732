"""What every engine gets to do: the same prompts with image vectors in them, and answers of 60 to 150 tokens.

XrayGPT's prompts have 12 image vectors here. Those of LLaVA's family have 1,369 an image, and up to three images.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

BEFORE, IMAGE, AFTER = 20, 12, 68  # tokens of a prompt: text that all share, image vectors, text
LLAVA = 1369  # image vectors of a film of 518 pixels, in patches of 14
SHORTEST, LONGEST = 60, 150  # tokens of an answer
VOCABULARY = 49152


@dataclass(frozen=True)
class Job:
    """One study: ids before the image, its vectors, ids after it, and how many tokens to write."""

    before: list[int]
    image: Tensor
    after: list[int]
    tokens: int


@dataclass
class EngineResult:
    """What one way of generating did.

    Attributes:
        latencies: seconds from arrival to last token, one per study.
        core_seconds: processor time of the process.
        ideal_seconds: the least time for the same work by the device's measured rates, where the way counts it.
    """

    studies: int
    tokens: int
    seconds: float
    core_seconds: float
    peak_mib: float = 0.0
    ideal_seconds: float | None = None
    latencies: list[float] = field(default_factory=list)

    @property
    def studies_per_second(self) -> float:
        return self.studies / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    def percentile(self, share: float) -> float:
        """Latency that this share of the studies did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def jobs(count: int, hidden: int, image: int = IMAGE, most_images: int = 1) -> list[Job]:
    """Studies of ragged answer lengths; the same ones for the same arguments.

    Args:
        image: vectors of an image.
        most_images: a study has one to so many.
    """
    chance = random.Random(0)
    source = torch.Generator().manual_seed(0)
    before = [chance.randrange(100, 40_000) for _ in range(BEFORE)]
    return [
        Job(
            before,
            torch.randn(image * _images(chance, most_images), hidden, generator=source) * 0.1,
            [chance.randrange(100, 40_000) for _ in range(AFTER)],
            chance.randint(SHORTEST, LONGEST),
        )
        for _ in range(count)
    ]


def _images(chance: random.Random, most: int) -> int:
    return 1 if most == 1 else chance.randint(1, most)


def arrivals(count: int, per_second: float) -> list[float]:
    """Seconds at which studies arrive: exponential pauses, a Poisson process."""
    chance, now, times = random.Random(1), 0.0, []
    for _ in range(count):
        now += chance.expovariate(per_second)
        times.append(now)
    return times


def model(shape: str, dtype: torch.dtype, device: str) -> Any:
    """Random weights in the shape of a published model: speed does not depend on what they say."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(**SHAPES[shape])
    with torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            made = LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(before)
    made.generation_config.eos_token_id = None
    return made.eval().requires_grad_(False)


SHAPES: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        "vocab_size": VOCABULARY,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "eos_token_id": None,
    },
    "vicuna-7b": {
        "vocab_size": 40_000,  # its own 32,000, and ids of the jobs
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 6144,  # as MAIRA-2 stretches it, for three images
        "tie_word_embeddings": False,
        "eos_token_id": None,
    },
}
SHAPES["vicuna-7b-2layers"] = SHAPES["vicuna-7b"] | {"num_hidden_layers": 2}  # for a CPU


def embedded(llm: Any, job: Job) -> Tensor:
    """A whole prompt as embeddings (tokens, hidden)."""
    table = llm.get_input_embeddings()
    weight = table.weight
    before, after = (table(torch.tensor(ids, device=weight.device)) for ids in (job.before, job.after))
    return torch.cat([before, job.image.to(weight), after])


def useful(some: Sequence[Job]) -> int:
    """Tokens that were asked for."""
    return sum(job.tokens for job in some)
