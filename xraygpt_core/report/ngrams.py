"""ROUGE-1 and ROUGE-2 (Lin, 2004) and BLEU-1 to BLEU-4 (Papineni et al., 2002), without any package.

All figures are 0–1. Words are those of :func:`xraygpt_core.report.scores.tokens`: figures of two tokenisers are not
comparable.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from xraygpt_core.report.scores import Prf, tokens

MOST = 4  # the longest n-gram of BLEU
Smoothing = Literal["none", "add-one", "exp"]


def ngrams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of ``n`` words occurs."""
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def rouge_n(candidate: str, reference: str, n: int) -> Prf:
    """Overlap of n-grams, each counted as often as both texts have it; 0 where either text has none."""
    given, true = ngrams(tokens(candidate), n), ngrams(tokens(reference), n)
    hits = (given & true).total()
    if not hits:
        return Prf(0.0, 0.0, 0.0)
    precision, recall = hits / given.total(), hits / true.total()
    return Prf(precision, recall, 2 * precision * recall / (precision + recall))


@dataclass(frozen=True)
class BleuCounts:
    """What BLEU is made of.

    Attributes:
        hits: for n = 1 … 4, n-grams of the candidate that the reference has too, clipped to how often it has them.
        found: for n = 1 … 4, n-grams of the candidate.
        given, true: words of candidate and reference.
    """

    hits: tuple[int, ...] = (0,) * MOST
    found: tuple[int, ...] = (0,) * MOST
    given: int = 0
    true: int = 0

    def bleu(self, order: int = MOST, smoothing: Smoothing = "none") -> float:
        """BLEU over n-grams of 1 … ``order`` words with equal weights, times the brevity penalty.

        A candidate of fewer than ``order`` words scores 0, but with ``add-one``, as in sacrebleu.

        Args:
            smoothing: for an order without a hit. ``none``: BLEU is 0. ``add-one``: one more hit and one more n-gram
                for every order above 1 (Lin and Och, 2004). ``exp``: the k-th such order counts 1/2^k hits (NIST).

        Raises:
            ValueError: the order is not 1–4.
        """
        if not 1 <= order <= MOST:
            raise ValueError(f"BLEU is computed for orders 1 to {MOST}, not {order}")
        if not self.hits[0] or (smoothing != "add-one" and not self.found[order - 1]):
            return 0.0
        shares = list(self._precisions(order, smoothing))
        if min(shares) == 0:
            return 0.0
        penalty = 1.0 if self.given >= self.true else math.exp(1 - self.true / self.given)
        return penalty * math.exp(sum(map(math.log, shares)) / order)

    def _precisions(self, order: int, smoothing: Smoothing) -> Iterable[float]:
        without = 0
        for n, (hits, found) in enumerate(zip(self.hits[:order], self.found[:order], strict=True), 1):
            if smoothing == "add-one" and n > 1:
                yield (hits + 1) / (found + 1)
            elif smoothing == "exp" and not hits:
                without += 1
                yield 1 / (2**without * found)
            else:
                yield hits / found


def bleu_counts(candidate: str, reference: str) -> BleuCounts:
    """The counts of one text; ``bleu_counts(…).bleu(n, smoothing)`` is its sentence BLEU."""
    given, true = tokens(candidate), tokens(reference)
    runs = [(ngrams(given, n), ngrams(true, n)) for n in range(1, MOST + 1)]
    hits = tuple((ours & theirs).total() for ours, theirs in runs)
    return BleuCounts(hits, tuple(ours.total() for ours, _ in runs), len(given), len(true))
