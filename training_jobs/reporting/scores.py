"""How much the examples' texts say of what was wanted, beside texts that did not see the film."""

from collections.abc import Sequence

from training_jobs.reporting.examples import Example
from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.scores import bootstrap_f1, bootstrap_mean, exact_share, rouge_l

OWN, SWAPPED, WITHOUT, USUAL = "the film", "another patient's film", "a black picture", "the most frequent report"


def scores(shown: Sequence[Example], usual: str | None) -> list[tuple[str, dict[str, str]]]:
    """Of the model and of each control: finding-F1 and ROUGE-L with 95 % intervals, and the share without an error."""
    answers: list[tuple[str, list[str | None]]] = [
        (OWN, [one.text for one in shown]),
        (SWAPPED, [one.swapped for one in shown]),
        (WITHOUT, [one.without for one in shown]),
        (USUAL, [usual for _ in shown]),
    ]
    wanted = [one.pair.text or "" for one in shown]
    return [(name, _scores(texts, wanted)) for name, texts in answers]


def _scores(texts: Sequence[str | None], wanted: Sequence[str]) -> dict[str, str]:
    pairs = [(text, true) for text, true in zip(texts, wanted, strict=True) if text is not None]
    if not pairs:
        return {"finding F1": "none", "no error": "none", "ROUGE-L": "none"}
    labels = [(label_report(text), label_report(true)) for text, true in pairs]
    f1 = bootstrap_f1([(set(a), set(b)) for a, b in labels])
    rouge = bootstrap_mean([rouge_l(text, true).f1 for text, true in pairs])
    return {
        "finding F1": f"{f1.value:.2f} ({f1.low:.2f} to {f1.high:.2f})",
        "no error": f"{exact_share([(set(a), set(b)) for a, b in labels]):.0%}",
        "ROUGE-L": f"{rouge.value:.2f} ({rouge.low:.2f} to {rouge.high:.2f})",
    }


def differences(text: str, wanted: str) -> tuple[list[str], list[str], list[str]]:
    """Findings that both texts name, that only the model's names, and that only the wanted one names; our labeller."""
    given, true = label_report(text), label_report(wanted)
    return sorted(given & true), sorted(given - true), sorted(true - given)
