"""Make the chest check of an encoder, and report how often it errs on what it has not seen.

A linear head by weighted logistic regression with an L2 penalty, on the principal components of the features' means in
six zones. Each kind of picture counts with the square root of its number, chest and other the same in sum.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training_jobs.chest.pictures import ChestPicture, folder_pictures, pictures
from training_jobs.chest.report import ErrorTable, Floats, by_kind, counted, first_half
from training_jobs.drawers.grey import png
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.chest_check import ChestCheck, save_chest_check, zones, zones_of
from xraygpt_core.model.compose import CHEST_CHECK_FILE
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.llm import pick_device

_FOLDS = 5
_COMPONENTS = 512
_PENALTY = 0.003
_STEPS = 100  # of L-BFGS
_BATCH = 16
_FLAGGED = 0.005  # the upper threshold lies below the scores of all but this share of unseen chest films
_REFUSED = 0.002  # and the lower one below those of all but this share of unseen films and variants of films
_DOUBT_BELOW, _REJECT_BELOW = 1.0, 2.0  # how far below what was found the thresholds lie, in natural log-odds

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Basis:
    """The principal components of the pictures' features, found without labels.

    Attributes:
        axes: (d, components), for features less ``mean`` and divided by ``spread``.
    """

    mean: Floats
    spread: Floats
    axes: Floats

    def coordinates(self, features: Floats) -> Floats:
        """(n, d) to (n, components)."""
        return np.asarray((features - self.mean) / self.spread @ self.axes, np.float32)


@dataclass(frozen=True)
class Head:
    """A fitted head: score = coordinates . weight + bias."""

    weight: Floats
    bias: float

    def scores(self, coordinates: Floats) -> Floats:
        """(n, components) to (n,)."""
        return np.asarray(coordinates @ self.weight + np.float32(self.bias), np.float32)

    def on_features(self, basis: Basis) -> "Head":
        """The same head for features."""
        weight = (basis.axes @ self.weight / basis.spread).astype(np.float32)
        return Head(weight, self.bias - float(basis.mean @ weight))


def make_chest_check(
    bundle: Bundle,
    chest: Sequence[Path],
    other: Sequence[Path],
    out: Path,
    *,
    measure: Sequence[tuple[Path, bool]] = (),
    drawn: int = 40,
    device: str = "auto",
    notify: Notify = lambda _line: None,
) -> dict[str, Any]:
    """Write the head for this bundle's encoder and a report beside it, and return the report.

    Args:
        chest, other: folders of pictures; each is a kind.
        measure: folders that are only measured in the end, and whether they show chests.
        drawn: pictures of each drawer.

    Raises:
        BundleError: the encoder does not load. TrainingError: a folder holds no picture.
    """
    out.mkdir(parents=True, exist_ok=True)
    where, encoder = pick_device(device), load_encoder(bundle.encoder, bundle.encoder_weights, bundle.encoder_options)
    encoder.to(where)
    table = encoded(encoder, where, pictures(chest, other, drawn), notify)
    basis = principal(table.features)
    table = replace(table, features=basis.coordinates(table.features))
    unseen = unseen_scores(table, notify)
    reject, doubt = thresholds(table, unseen)
    head = fit(table, np.ones(len(table.chest), np.bool_)).on_features(basis)
    weight = torch.from_numpy(head.weight).reshape(zones_of(encoder.positions), encoder.channels)
    save_chest_check(ChestCheck(weight, head.bias, reject, doubt), out / CHEST_CHECK_FILE)
    report: dict[str, Any] = {"encoder": bundle.encoder, "pictures": len(table.chest), "reject": reject, "doubt": doubt}
    report |= {"unseen": by_kind(table, unseen, reject, doubt), "never seen": {}}
    for folder, is_chest in measure:
        scores = head.scores(encoded(encoder, where, folder_pictures(folder, chest=is_chest), notify).features)
        report["never seen"][folder.name] = {"chest": is_chest} | counted(scores, reject, doubt)
    (out / "chest_check.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def encoded(encoder: Encoder, device: torch.device, source: Any, notify: Notify) -> ErrorTable:
    """Encode and pool pictures as they come."""
    rows: list[Floats] = []
    labels: list[tuple[str, str, bool, bool]] = []
    source = iter(source)
    while batch := list(islice(source, _BATCH)):
        rows.append(_pooled(encoder, device, batch))
        labels += [(one.kind, one.group, one.chest, one.original) for one in batch]
        if len(rows) % 32 == 0:
            notify(f"{len(labels)} pictures encoded")
    kind, group, chest, original = (np.array(column) for column in zip(*labels, strict=True))
    return ErrorTable(np.concatenate(rows), kind, group, chest, original)


def _pooled(encoder: Encoder, device: torch.device, batch: Sequence[ChestPicture]) -> Floats:
    images = torch.stack([encoder.preprocess(png(one.grey)) for one in batch]).to(device)
    pooled: Tensor = zones(encoder.encode(images).float(), zones_of(encoder.positions)).flatten(1)
    return pooled.cpu().numpy()


def principal(features: Floats) -> Basis:
    """The first principal components of standardised features (Halko et al. 2011, randomised)."""
    mean, spread = features.mean(0), features.std(0)
    spread += np.float32(1e-3) * spread.mean()  # else a channel that hardly varies would dominate
    x = torch.from_numpy((features - mean) / spread)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _, _, axes = torch.svd_lowrank(x, min(_COMPONENTS, *x.shape), niter=2)
    return Basis(mean, spread, axes.numpy())


def fit(table: ErrorTable, used: NDArray[np.bool_]) -> Head:
    """The head learned from the rows that are used; the table's features are coordinates."""
    kinds, chest = table.kind[used], table.chest[used]
    x = torch.from_numpy(table.features[used])
    sign = torch.from_numpy(np.where(chest, 1, -1).astype(np.float32))
    counts = torch.from_numpy(_weights(kinds, chest))
    head = torch.zeros(x.shape[1] + 1, requires_grad=True)
    steps = torch.optim.LBFGS([head], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        steps.zero_grad()
        wrong = functional.softplus(-sign * (x @ head[:-1] + head[-1]))
        total = (counts * wrong).sum() + _PENALTY * (head[:-1] ** 2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    steps.step(loss)  # type: ignore[no-untyped-call]
    found = head.detach().numpy()
    return Head(found[:-1], float(found[-1]))


def _weights(kinds: NDArray[np.str_], chest: NDArray[np.bool_]) -> Floats:
    """A row's weight: its kind counts as the root of its number; chest and other are half each."""
    _, where, numbers = np.unique(kinds, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(numbers[where])
    for side in (chest, ~chest):
        weights[side] /= 2 * weights[side].sum()
    return weights.astype(np.float32)


def unseen_scores(table: ErrorTable, notify: Notify) -> dict[str, Floats]:
    """Each row's score by heads that have not seen it: nothing of its patient, and nothing of its kind."""
    groups, which = np.unique(table.group, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(groups))[which] % _FOLDS
    by_patient = np.zeros(len(table.chest), np.float32)
    for number in range(_FOLDS):
        out = table.chest & (fold == number)
        head = fit(table, ~(fold == number) | ~table.chest & (table.group == ""))
        by_patient[out] = head.scores(table.features[out])
    by_kind = np.zeros(len(table.chest), np.float32)
    for kind in np.unique(table.kind):
        out = table.kind == kind
        by_kind[out] = fit(table, ~out).scores(table.features[out])
        notify(f"without {kind}: {np.quantile(by_kind[out], [0, 0.05, 0.5, 0.95, 1]).round(1).tolist()}")
    return {"patient": by_patient, "kind": by_kind}


def thresholds(table: ErrorTable, unseen: dict[str, Floats]) -> tuple[float, float]:
    """``reject`` and ``doubt``, from one half of the patients; the report is about the other half."""
    films = table.chest & first_half(table)
    doubt = float(np.quantile(unseen["patient"][films & table.original], _FLAGGED)) - _DOUBT_BELOW
    reject = float(np.quantile(unseen["patient"][films], _REFUSED)) - _REJECT_BELOW
    return round(min(reject, doubt), 3), round(doubt, 3)
