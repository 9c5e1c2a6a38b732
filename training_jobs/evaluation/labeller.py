"""How well the six classes are read from text: against tags that people gave to reports, and labels of films."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training_jobs.corpora.scored_films import films
from training_jobs.curation.archives import files_in
from training_jobs.evaluation.mesh import kinds_of_mesh
from xraygpt_core.errors import TrainingError
from xraygpt_core.report.kinds import KINDS, kinds_of_text
from xraygpt_core.report.open_i_xml import NoReport, open_i_report
from xraygpt_core.report.scores import bootstrap_f1, micro_f1, wilson

Pair = tuple[frozenset[str], frozenset[str]]  # read from the text, and true


def labeller_on_reports(source: Path) -> dict[str, Any]:
    """Open-i's reports, findings and impression, against their MeSH tags; untagged and empty ones are left out.

    Raises:
        TrainingError: the archive cannot be read, or has no tagged report.
    """
    pairs: list[Pair] = []
    unread = 0
    for _, xml in files_in(source, lambda name: name.lower().endswith(".xml")):
        try:
            report = open_i_report(xml or b"")
        except NoReport:
            unread += 1
            continue
        truth = kinds_of_mesh(report.tags)
        if truth is None or not (report.findings or report.impression):
            unread += 1
            continue
        pairs.append((kinds_of_text(f"Findings: {report.findings}\nImpression: {report.impression}"), truth))
    if not pairs:
        raise TrainingError(f"{source} has no report with MeSH tags")
    return {"left_out": unread, **_scores(pairs)}


def labeller_on_films(data: Path) -> dict[str, Any]:
    """The texts that were made of the NIH labels, of every split, against the labels.

    Raises:
        TrainingError: as :func:`training_jobs.corpora.scored_films.films`.
    """
    return _scores([(kinds_of_text(film.text), film.kinds) for film in films(data, None)])


def _scores(pairs: Sequence[Pair]) -> dict[str, Any]:
    return {
        "n": len(pairs),
        "scores": {"kind_f1": bootstrap_f1(pairs)._asdict()},
        "kinds": {kind: _one_kind(kind, pairs) for kind in KINDS},
    }


def _one_kind(kind: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    chosen = [(given & {kind}, true & {kind}) for given, true in pairs]
    said, there = sum(bool(given) for given, _ in chosen), sum(bool(true) for _, true in chosen)
    score = micro_f1(chosen)
    return {
        "n": there,
        "said": said,
        "precision": wilson(score.precision, said)._asdict() if said else None,
        "recall": wilson(score.recall, there)._asdict() if there else None,
        "f1": bootstrap_f1(chosen)._asdict(),
    }
