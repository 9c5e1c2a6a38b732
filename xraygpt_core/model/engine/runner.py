"""Weights and caches on the device: rows enter, take steps and move. The thread is :mod:`loop`'s."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.chest_check import ChestCheck
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.cache import IDLE, Cache, Span
from xraygpt_core.model.engine.graphs import Graphs, rounded
from xraygpt_core.model.engine.llama import Llama
from xraygpt_core.model.engine.memory import plan_slots
from xraygpt_core.model.engine.roofline import measure
from xraygpt_core.model.engine.rows import EngineRequest, EngineTicket, Launch, Run
from xraygpt_core.model.engine.sampling import drawing, generator, pick
from xraygpt_core.model.engine.scheduler import Move, piece, similar
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
        summary: tokens of a summary's prompt and longest answer, with all the images that it can have.
        context: tokens the LLM can look back on.
        invariant: compute every row in shapes that do not depend on the rest of the batch.
        weights: ``int8`` or ``fp8``; None for the model's own precision.
        ahead: steps that are launched before the host has read whether the row is done.
        chest: asks of each image whether it is a chest.
        fewer: like ``summary``, with fewer images.
    """

    before: list[int]
    summary: int
    context: int
    decoding: Decoding
    invariant: bool = False
    weights: str | None = None
    ahead: int = 0
    chest: ChestCheck | None = None
    fewer: tuple[int, ...] = ()


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
        bytes_each, tokens = self.llama.token_bytes, (setting.summary, setting.context)
        self._take(plan_slots(room, bytes_each, *tokens, batch_size, setting.fewer))
        self._graphs = Graphs(self.llama) if graphs else None
        self._rounds = self.llama.device.type == "cuda"

    def _take(self, classes: tuple[SlotClass, ...]) -> None:
        self.classes = tuple(replace(one, ahead=self.setting.ahead) for one in classes)
        self.caches = [cache for one in self.classes for cache in self.llama.caches(one.tokens, one.pitches)]

    @property
    def together(self) -> bool:
        """Can rows of several lengths share a step? Not where shapes are to depend on nothing, or on little."""
        return not self.setting.invariant and self._graphs is None

    @property
    def context(self) -> int:
        """Tokens of the longest slot: what a conversation has room for."""
        return self.classes[-1].length

    def enter(self, tickets: Sequence[EngineTicket], limit: int) -> list[Launch]:
        """Encode the images as one batch, and read the prompts into their slots.

        A prompt of more than ``limit`` tokens is left to :meth:`read_on`.
        """
        if self.setting.invariant and len(tickets) > 1:
            return [launch for ticket in tickets for launch in self.enter([ticket], limit)]
        self._write_prompts([ticket.payload for ticket in tickets])
        short = [ticket for ticket in tickets if ticket.prompt_tokens <= limit]
        launches = []
        for kind in sorted({ticket.kind for ticket in short}):
            of_kind = [ticket for ticket in short if ticket.kind == kind]
            for group in similar([ticket.prompt_tokens for ticket in of_kind]):
                launches.append(self._prefill(kind, [of_kind[index] for index in group]))
        return launches

    def _write_prompts(self, items: Sequence[EngineRequest]) -> None:
        """Each request's prompt behind the shared beginning, as embeddings.

        Raises:
            ValueError: one is not as long as it was said to be when its slot was chosen.
        """
        further = [image for item in items for _, image in item.further]
        features = self.vision.features([*(item.image for item in items), *further])
        self._score(items, features[: len(items)] if further else features)
        for item, prompt in zip(items, self._rows(items, self.vision.image_tokens(features)), strict=True):
            if len(prompt) + self.llama.prefix_tokens != item.cached:
                raise ValueError(f"a prompt of {len(prompt)} tokens has a slot for one of {item.cached}")
            item.run = Run(generator=generator(self.setting.decoding), unread=prompt)

    def read_on(self, ticket: EngineTicket, limit: int) -> list[Launch]:
        """Read one more piece of a long prompt into its slot; with the last one comes its first token.

        Where the pieces end depends on the prompt's own length and on nothing else.
        """
        run, cache = ticket.payload.run, self.caches[ticket.kind]
        assert run.unread is not None
        part = run.unread[: piece(ticket.prompt_tokens, limit)]
        logits = self.llama.prefill(cache, [ticket.slot], [part], run.read or None)
        if len(part) == len(run.unread):
            return [self._begin(cache, logits, [ticket])]
        cache.lengths[ticket.slot] = IDLE
        run.read = (run.read or self.llama.prefix_tokens) + len(part)
        run.unread = run.unread[len(part) :]
        return []

    def _rows(self, items: Sequence[EngineRequest], tokens: Sequence[Tensor]) -> list[Tensor]:
        """Whole prompts without what all begin with; first images stand before the further ones in ``tokens``."""
        embed, further, rows = self.llama.embed, iter(tokens[len(items) :]), []
        for item, image in zip(items, tokens, strict=False):
            parts = [embed(item.before), image] if item.before else [image]
            for ids, _ in item.further:
                parts += [embed(ids), next(further)]
            rows.append(torch.cat([*parts, embed(item.after)]))
        return rows

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
        tokens = [ticket.prompt_tokens for ticket in tickets]
        pairs = sum(count * (self.llama.prefix_tokens + count / 2) for count in tokens)
        return self.roofline.seconds(self.llama.bytes, self.llama.flops * sum(tokens) + self.llama.pair_flops * pairs)

    def ideal_step(self, tickets: Sequence[EngineTicket]) -> float:
        """Seconds the device needs at least for one step of these rows."""
        lengths = [ticket.payload.length for ticket in tickets if ticket.payload.writes]
        read = self.llama.bytes + sum(lengths) * self.llama.token_bytes
        return self.roofline.seconds(read, self.llama.flops * len(lengths))

    def _prefill(self, kind: int, tickets: list[EngineTicket]) -> Launch:
        prompts = [prompt for ticket in tickets if (prompt := ticket.payload.run.unread) is not None]
        logits = self.llama.prefill(self.caches[kind], [ticket.slot for ticket in tickets], prompts)
        return self._begin(self.caches[kind], logits, tickets)

    def _begin(self, cache: Cache, logits: Tensor, tickets: Sequence[EngineTicket]) -> Launch:
        """The first token of rows whose prompts are read."""
        launch = self._launch(cache, sent([ticket.slot for ticket in tickets], self.llama.device), logits, tickets)
        for ticket in tickets:
            ticket.payload.run.unread = None
        return launch

    def step(self, kind: int, first: int, tickets: Sequence[EngineTicket], *, part: bool = False) -> Launch:
        """One token more for the rows in the slots from ``first`` on; ``part``: others are in use as well."""
        exact = Span(self.caches[kind], first, first + len(tickets), _longest(tickets))
        span = exact if part else self._widened(exact)
        decode = self.llama.decode if part or self._graphs is None else self._graphs.decode
        logits = decode(span.cache, span.first, span.last, span.longest)
        return self.launch(kind, first, tickets, logits[first - span.first :][: len(tickets)])

    def step_together(self, groups: Sequence[tuple[int, Sequence[EngineTicket]]]) -> list[Tensor]:
        """Logits of one token more for all rows of several kinds, kind by kind: see :meth:`launch`."""
        spans = []
        for kind, tickets in groups:
            first = tickets[0].slot
            spans.append(self._widened(Span(self.caches[kind], first, first + len(tickets), _longest(tickets))))
        each = torch.split(self.llama.decode_all(spans), [span.last - span.first for span in spans])
        return [logits[: len(tickets)] for logits, (_, tickets) in zip(each, groups, strict=True)]

    def launch(self, kind: int, first: int, tickets: Sequence[EngineTicket], logits: Tensor) -> Launch:
        """Choose the next token of the rows from slot ``first`` on by their logits; prompts half read choose none."""
        slots = self.caches[kind].rows[first : first + len(tickets)]
        ready = [index for index, ticket in enumerate(tickets) if ticket.payload.writes]
        if len(ready) < len(tickets):
            chosen = sent(ready, self.llama.device)
            slots, logits = slots[chosen], logits[chosen]
        return self._launch(self.caches[kind], slots, logits, [tickets[index] for index in ready])

    def _widened(self, span: Span) -> Span:
        """The shape that serves so many rows. What lies beside them is computed too, idle, and leaves nothing."""
        cache, first, last, longest = span.cache, span.first, span.last, span.longest
        if self.setting.invariant:
            first, last, longest = 0, cache.slots, cache.length - 1
        elif self._rounds:
            wide, longest = rounded(cache, last - first, longest)
            last = min(cache.slots, first + wide)
        cache.lengths[first : span.first].fill_(IDLE)
        cache.lengths[span.last : last].fill_(IDLE)
        return Span(cache, first, last, longest)

    def rewind(self, kind: int, first: int, tickets: Sequence[EngineTicket]) -> None:
        """A step was interrupted: set the lengths back to what they were before."""
        lengths = [ticket.payload.length if ticket.payload.writes else IDLE for ticket in tickets]
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


def _longest(tickets: Sequence[EngineTicket]) -> int:
    return max(ticket.payload.length for ticket in tickets if ticket.payload.writes)
