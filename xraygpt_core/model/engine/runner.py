"""Weights and caches on the device: rows enter, take steps and move. The thread is :mod:`loop`'s."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.chest_check import ChestCheck
from xraygpt_core.model.engine.graphs import Graphs, rounded
from xraygpt_core.model.engine.llama import Cache, Llama
from xraygpt_core.model.engine.memory import plan_slots
from xraygpt_core.model.engine.roofline import measure
from xraygpt_core.model.engine.rows import EngineRequest, EngineTicket, Launch, Run
from xraygpt_core.model.engine.sampling import drawing, generator, pick
from xraygpt_core.model.engine.scheduler import Move, SlotClass, similar
from xraygpt_core.model.engine.weights import free_bytes, give_back, sent, widens


class Vision(Protocol):
    """What turns images into embeddings: a bundle's encoder and projector."""

    def features(self, images: Sequence[Tensor]) -> Any:
        """Preprocessed images to features."""

    def image_tokens(self, features: Any) -> Any:
        """Features to embeddings (image, tokens, hidden)."""


@dataclass(frozen=True)
class Setting:
    """What slots are planned for.

    Attributes:
        before: ids every prompt begins with.
        summary: tokens of a summary's prompt and longest answer.
        context: tokens the LLM can look back on.
        invariant: compute every row in shapes that do not depend on the rest of the batch.
        weights: ``int8`` or ``fp8``; None for the model's own precision.
        ahead: steps that are launched before the host has read whether the row is done.
        chest: asks of each image whether it is a chest.
    """

    before: list[int]
    summary: int
    context: int
    decoding: Decoding
    invariant: bool = False
    weights: str | None = None
    ahead: int = 0
    chest: ChestCheck | None = None


class Runner:
    """Weights, caches and what is on them.

    Args:
        model: transformers' LLaMA, which is taken apart.
        batch_size: rows for summaries, if memory has room for them.
        memory: bytes for keys and values; measured if not given.
        graphs: replay decode steps as CUDA graphs.

    Raises:
        BundleError: no LLaMA, weights this machine does not multiply, or no room for a single row.
        ConfigurationError: CUDA graphs without a GPU.
    """

    def __init__(
        self,
        model: Any,
        vision: Vision,
        setting: Setting,
        batch_size: int,
        *,
        memory: int | None = None,
        graphs: bool = False,
    ) -> None:
        if graphs and model.device.type != "cuda":
            raise ConfigurationError("XRAYGPT_CUDA_GRAPHS is set, but the engine does not run on a GPU: unset it")
        weights = setting.weights or ("float32" if widens(model) else None)
        self.roofline = measure(model.device, model.dtype, weights)  # first, while memory is free
        self.llama = Llama(model, weights)
        self.vision, self.setting = vision, setting
        self.llama.share(setting.before)
        give_back()
        room = free_bytes(self.llama.device) if memory is None else memory
        self._take(plan_slots(room, self.llama.token_bytes, setting.summary, setting.context, batch_size))
        self._graphs = Graphs(self.llama) if graphs else None

    def _take(self, classes: tuple[SlotClass, ...]) -> None:
        self.classes = classes
        self.caches = [self.llama.cache(one.count, one.length + self.setting.ahead) for one in classes]

    @property
    def context(self) -> int:
        """Tokens of the longest slot: what a conversation has room for."""
        return self.classes[-1].length

    def enter(self, tickets: Sequence[EngineTicket]) -> list[Launch]:
        """Encode the images as one batch, and read the prompts into their slots."""
        if self.setting.invariant and len(tickets) > 1:
            return [launch for ticket in tickets for launch in self.enter([ticket])]
        items = [ticket.payload for ticket in tickets]
        features = self.vision.features([item.image for item in items])
        self._score(items, features)
        tokens = self.vision.image_tokens(features)
        prompts = [torch.cat([image, self.llama.embed(item.after)]) for image, item in zip(tokens, items, strict=True)]
        launches = []
        for kind in sorted({ticket.kind for ticket in tickets}):
            of_kind = [index for index, ticket in enumerate(tickets) if ticket.kind == kind]
            for group in similar([len(prompts[index]) for index in of_kind]):
                chosen = [of_kind[index] for index in group]
                launches.append(self._prefill(kind, [tickets[i] for i in chosen], [prompts[i] for i in chosen]))
        return launches

    def _score(self, items: Sequence[EngineRequest], features: Tensor) -> None:
        """Ask the chest check without waiting for a GPU: the scores arrive with the rows' first tokens."""
        if self.setting.chest is None:
            return
        scores = self.setting.chest.scores(features)
        host = torch.empty(len(items), pin_memory=scores.device.type == "cuda")
        host.copy_(scores, non_blocking=True)
        for item, score in zip(items, host, strict=True):
            item.score = score

    def ideal_prefill(self, tickets: Sequence[EngineTicket]) -> float:
        """Seconds the device needs at least to read these prompts."""
        return self.roofline.seconds(
            self.llama.bytes, self.llama.flops * sum(ticket.prompt_tokens for ticket in tickets)
        )

    def ideal_step(self, tickets: Sequence[EngineTicket]) -> float:
        """Seconds the device needs at least for one step of these rows."""
        tokens = sum(ticket.payload.length for ticket in tickets)
        read = self.llama.bytes + tokens * self.llama.token_bytes
        return self.roofline.seconds(read, self.llama.flops * len(tickets))

    def _prefill(self, kind: int, tickets: list[EngineTicket], prompts: list[Tensor]) -> Launch:
        cache, slots = self.caches[kind], [ticket.slot for ticket in tickets]
        logits = self.llama.prefill(cache, slots, prompts)
        for ticket in tickets:
            ticket.payload.run = Run(generator=generator(self.setting.decoding))
        return self._launch(cache, sent(slots, self.llama.device), logits, tickets)

    def step(self, kind: int, first: int, tickets: Sequence[EngineTicket], *, part: bool = False) -> Launch:
        """One token more for the rows in the slots from ``first`` on; ``part``: others are in use as well."""
        cache, last = self.caches[kind], first + len(tickets)
        longest = max(ticket.payload.length for ticket in tickets)
        logits = self.llama.decode(cache, first, last, longest) if part else self._decode(cache, last, longest)
        return self._launch(cache, cache.rows[first:last], logits, tickets)

    def _decode(self, cache: Cache, rows: int, longest: int) -> Tensor:
        """Logits of the first rows. Free slots behind them may be computed too: what they write is never read."""
        wide, deep = rows, longest
        if self.setting.invariant:
            wide, deep = cache.slots, cache.length - 1
        elif self.llama.device.type == "cuda":
            wide, deep = rounded(cache, rows, longest)
        cache.lengths[rows:wide].zero_()
        decode = self.llama.decode if self._graphs is None else self._graphs.decode
        return decode(cache, 0, wide, deep)[:rows]

    def rewind(self, kind: int, first: int, tickets: Sequence[EngineTicket]) -> None:
        """A step was interrupted: set the lengths back to what they were before."""
        lengths = [ticket.payload.length for ticket in tickets]
        self.caches[kind].lengths[first : first + len(tickets)] = sent(lengths, self.llama.device)

    def _launch(self, cache: Cache, slots: Tensor, logits: Tensor, tickets: Sequence[EngineTicket]) -> Launch:
        """Choose the next ids, send a copy to the host, and leave them where the next step reads them.

        In this order: whatever fails, the step can be repeated from the old ids, and draws the same.
        """
        rows = [(ticket, ticket.payload.run) for ticket in tickets]
        on_gpu = self.llama.device.type == "cuda"
        host = torch.empty(len(rows), dtype=torch.long, pin_memory=on_gpu)
        ready = torch.cuda.Event() if on_gpu else None  # type: ignore[no-untyped-call]
        generators = [run.generator for _, run in rows]
        with torch.inference_mode(), drawing(generators):
            ids = pick(logits, self.setting.decoding, generators)
            host.copy_(ids, non_blocking=True)
            if ready is not None:
                ready.record()
            cache.ids[slots] = ids
        for _, run in rows:
            run.launched += 1
        return Launch(rows, host, ready)

    def move(self, move: Move, ticket: EngineTicket) -> None:
        """A row changes its slot, and nothing of it stays behind: its last step may not have been read yet."""
        cache, tokens = self.caches[move.kind], ticket.payload.length
        cache.move(move.source, move.target, tokens)
        cache.scrub(move.source, tokens)

    def scrub(self, ticket: EngineTicket) -> None:
        """Nothing of an interrupted row stays behind."""
        self.caches[ticket.kind].scrub(ticket.slot, ticket.payload.length + 1)  # a step that failed may have written

    def free(self) -> None:
        """Give memory that only the allocators hold back to device and system."""
        give_back()

    def probe(self) -> None:
        """Compute the shared beginning, which works on a working device. Raises what the device raises."""
        self.llama.share(self.setting.before)
