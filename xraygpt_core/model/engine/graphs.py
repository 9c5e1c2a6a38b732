"""Decode steps as CUDA graphs: one launch instead of some twenty per layer. Behind ``XRAYGPT_CUDA_GRAPHS``."""

import torch
from torch import Tensor

from xraygpt_core.model.engine.cache import Cache
from xraygpt_core.model.engine.llama import Llama

_ROWS = 8  # a graph is kept for every so many rows,
_TOKENS = 64  # and for every so many tokens of the longest row


def rounded(cache: Cache, rows: int, longest: int) -> tuple[int, int]:
    """Rows and longest length of the step that serves so many: few different ones, and keys in whole tiles.

    A step attends to one token more than the longest row has, its own: that sum is what is rounded.
    """
    wide, seen = -(-rows // _ROWS) * _ROWS, -(-(longest + 1) // _TOKENS) * _TOKENS
    return min(cache.slots, wide), min(cache.length, seen) - 1


class Graphs:
    """Captured decode steps. Ids, lengths, keys and values live in the cache, so a replay needs no arguments."""

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self._graphs: dict[tuple[int, int, int, int], tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def decode(self, cache: Cache, first: int, last: int, longest: int) -> Tensor:
        """Like :meth:`Llama.decode`; the logits live until the next replay."""
        key = (id(cache), first, last, longest)
        if key not in self._graphs:
            self._graphs[key] = self._capture(cache, first, last, longest)
        graph, logits = self._graphs[key]
        graph.replay()
        return logits

    def _capture(self, cache: Cache, first: int, last: int, longest: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        before = cache.lengths.clone()
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):  # libraries choose their kernels before anything is recorded
            self._llama.decode(cache, first, last, longest)
        torch.cuda.current_stream().wait_stream(self._side)
        cache.lengths.copy_(before)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": other threads may go on using the device meanwhile
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            logits = self._llama.decode(cache, first, last, longest)
        return graph, logits
