"""What stage 0 trains, and its loss: labels read off the map, and texts that shall lie near their films.

Two heads that are thrown away afterwards: for each label an attention over the map's positions (multi-label), and
MedCLIP's semantic matching (Wang et al. 2022, section 3.3): film and text need not belong together, their labels say
how alike they should be.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training_jobs.encoder.label_space import LabelSpace
from training_jobs.encoder.texts import Texts
from training_jobs.features.batch import Batch
from training_jobs.learning.loss import Loss

_SHARED = 128  # dimensions in which films and texts are compared
_TEMPERATURE = 0.07  # to begin with; CLIP's
_DROPOUT = 0.2


class Reading(nn.Module):
    """Features (batch, positions, channels) to logits (batch, labels): each label looks where it wants."""

    def __init__(self, positions: int, channels: int, labels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(_DROPOUT)
        self.look = nn.Linear(channels, labels)
        self.see = nn.Linear(channels, labels)
        self.places = nn.Parameter(torch.zeros(positions, labels))
        self.bias = nn.Parameter(torch.zeros(labels))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        x = self.dropout(self.norm(features))
        attention = (self.look(x) + self.places).softmax(1)
        logits: Tensor = (attention * self.see(x)).sum(1) + self.bias
        return logits


class Matching(nn.Module):
    """Films and texts as unit vectors of one space, and how sharply they are compared."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.film = nn.Linear(channels, _SHARED, bias=False)
        self.text = nn.Linear(width, _SHARED, bias=False)
        self.scale = nn.Parameter(torch.tensor(1 / _TEMPERATURE).log())

    def forward(self, features: Tensor, texts: Tensor) -> Tensor:
        """Features (films, positions, channels) and text vectors (texts, width) to logits (films, texts)."""
        films = functional.normalize(self.film(features.mean(1)), dim=-1)
        return films @ functional.normalize(self.text(texts), dim=-1).T * self.scale.exp().clamp(max=100)


class EncoderLesson:
    """The tuned blocks, the two heads and the loss.

    Args:
        upper: the tuned blocks: features of the layer below in, the encoder's features out.
        shape: positions and channels of these.
        matching: how much the semantic matching counts beside the labels.
    """

    def __init__(
        self,
        upper: nn.Module,
        shape: tuple[int, int],
        labels: LabelSpace,
        texts: Texts | None,
        matching: float,
        device: torch.device,
    ) -> None:
        positions, channels = shape
        self.labels, self.texts, self.matching, self.device = labels, texts, matching, device
        reading = Reading(positions, channels, len(labels.names))
        self.module = nn.ModuleDict({"upper": upper, "reading": reading})
        if texts is not None:
            self.module["matching"] = Matching(channels, texts.width)
        self.module.to(device)

    def losses(self, batch: Batch, micro_batch: int | None = None) -> Iterator[Loss]:
        """Of a process's share of a step, micro-batch by micro-batch."""
        for part in batch.parts(micro_batch or max(len(batch), 1)):
            yield self._loss(part)

    def logits(self, low: Tensor) -> Tensor:
        """Of the labels, (films, labels)."""
        logits: Tensor = self.module["reading"](self.module["upper"](low))
        return logits

    def _loss(self, batch: Batch) -> Loss:
        features = self.module["upper"](batch.features.to(self.device))
        presence, known = (one.to(self.device) for one in self.labels.truth(batch.pairs))
        weights, positive = self.labels.weights(batch.pairs).to(self.device), self.labels.positive.to(self.device)
        errors = functional.binary_cross_entropy_with_logits(
            self.module["reading"](features), presence, pos_weight=positive, reduction="none"
        )
        # the mean over the labels that are known, so that a film with few of them counts as much as another
        each = (errors * known).sum(1) / known.sum(1).clamp(min=1)
        total = (each * weights).sum()
        if self.texts is not None:
            total = total + self.matching * self._matched(features, batch, presence, known) * len(batch)
        return Loss(total, len(batch), tuple(pair.pair_id for pair in batch.pairs))

    def _matched(self, features: Tensor, batch: Batch, presence: Tensor, known: Tensor) -> Tensor:
        """Soft cross-entropy in both directions between the likeness of films and texts and that of their labels."""
        assert self.texts is not None
        with_text = [place for place, pair in enumerate(batch.pairs) if pair.text]
        if len(with_text) < 2:
            return features.new_zeros(())
        texts = self.texts.vectors([batch.pairs[place].text or "" for place in with_text]).to(self.device)
        logits = self.module["matching"](features, texts)
        centred = torch.where(known, presence - 0.5, 0.0)  # an unknown label makes nothing alike
        alike = functional.cosine_similarity(centred[:, None], centred[None, with_text], dim=-1) / _TEMPERATURE / 2
        return (_soft(logits, alike) + _soft(logits.T, alike.T)) / 2


def _soft(logits: Tensor, alike: Tensor) -> Tensor:
    return -(alike.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()


def known_auc(scores: Tensor, presence: Tensor, known: Tensor, least: int = 5) -> list[float | None]:
    """The area under each label's ROC curve (Mann-Whitney), None where fewer than ``least`` films have or lack it."""
    return [_auc(scores[known[:, i], i], presence[known[:, i], i] > 0.5, least) for i in range(scores.shape[1])]


def _auc(scores: Tensor, there: Tensor, least: int) -> float | None:
    positive, negative = scores[there], scores[~there]
    if min(len(positive), len(negative)) < least:
        return None
    above = (positive[:, None] > negative[None]).double() + 0.5 * (positive[:, None] == negative[None]).double()
    return float(above.mean())


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
