"""A comparison for people: both models beside each other, and their controls beside the scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from xraygpt import show
from xraygpt.named_ids import SHORTEST

_SIDES = ("first", "second")
Value = Callable[[Mapping[str, Any]], str]


def show_comparison(found: Mapping[str, Any]) -> None:
    """Everything that ``GET /v1/comparisons/{id}`` says."""
    about, figures = found["comparison"], found["figures"]
    names = [about[side]["name"] for side in _SIDES]
    begun = str(about["begun_at"])[:16].replace("T", " ")
    show.paragraph(
        f"comparison {about['comparison_id'][-SHORTEST:]}: {' and '.join(names)} on {about['studies']} studies, "
        f"begun {begun} by {about['begun_by']}",
        style="bold",
    )
    if about["open"]:
        show.paragraph(f"unfinished: {about['open']} texts are still to be written; the command that began it goes on")
    show.table(("", *names), [*_counts(found["bundles"]), *_texts(figures["texts"]), *_scores(figures["signed"])])
    for sentence in _sentences(found, names):
        show.paragraph(sentence)
    one, other = names
    if figures["findings"]:
        heads = ("finding", "both", f"only {one}", f"only {other}", "kappa", "positive agreement")
        show.table(heads, _agreeing(figures["findings"]))
    if figures["signed"] is not None:
        scores = (f"{one} precision", "recall", f"{other} precision", "recall")
        show.table(("finding", "signed", *scores), _against(figures["signed"]["findings"]))


def _counts(bundles: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    sides = [bundles[side] for side in _SIDES]
    yield _row("texts written for this", sides, lambda one: str(one["written"]))
    yield _row("texts that studies had already", sides, lambda one: str(one["taken"]))
    yield _row("films that failed", sides, _failed)
    for part in ("lateral", "prior", "words"):
        if any(one["beside"][part] for one in sides):
            yield _row(f"texts with {part} beside the film", sides, _beside(part))
    yield _row("tokens a text", sides, lambda one: _number(one["tokens"], 1))
    yield _row("seconds a text", sides, lambda one: _number(one["seconds_a_text"], 2))
    yield _row("texts a second", sides, lambda one: _number(one["texts_a_second"], 2))
    yield _row("on", sides, lambda one: ", ".join(one["devices"]))


def _failed(one: Mapping[str, Any]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in one["reasons"].items())
    return f"{one['failed']} ({reasons})" if reasons else str(one["failed"])


def _texts(texts: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    sides = [texts[side] for side in _SIDES]
    if all(sides):
        yield _row("words a text", sides, lambda one: _interval(one["words"], 1))
        yield _row("findings a text", sides, lambda one: _number(one["findings"], 2))
        yield _row("texts that contradict themselves", sides, lambda one: _interval(one["contradicting"]))


def _scores(signed: Mapping[str, Any] | None) -> Iterator[tuple[str, ...]]:
    if signed is None:
        return
    sides = [signed[side] for side in _SIDES]
    for name in ("precision", "recall", "f1"):
        yield _row(f"{name} against {signed['n']} signed", sides, _score(name))
    yield _row("f1 beside another film's signed text", sides, lambda one: _interval((one["swapped"] or {}).get("f1")))


def _sentences(found: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    figures, signed = found["figures"], found["figures"]["signed"]
    about = found["comparison"]
    if about["failed"]:
        yield (
            f"{about['studies'] - figures['n']} of {about['studies']} films have no text of both and are left out; "
            "the table says why texts failed."
        )
    if figures["agreement"] is not None:
        beside = _interval((figures["swapped"] or {}).get("f1"))
        yield (
            f"The findings of the two agree with f1 {_interval(figures['agreement'])} on {figures['n']} films"
            + (f"; with the other's text about another film: {beside}." if beside else ".")
        )
    if signed is None:
        yield "Fewer than two patients have a signed text about these films: nothing says which of the two is right."
        return
    frequent = signed["most_frequent"]
    yield f"f1 of {names[0]} minus that of {names[1]}: {_interval(signed['difference'])}, on the same films."
    yield (
        f"The most frequent signed text, said of every film, has f1 {_interval(frequent['f1'])} "
        f"(it names {', '.join(frequent['says']) or 'no finding'})."
    )
    drafts = found["signed_from"]
    if drafts["first"] or drafts["second"]:
        counts = f"{drafts['first']} began as a draft of {names[0]} and {drafts['second']} of {names[1]}"
        yield f"Of the signed texts {counts}, which favours these."


def _agreeing(findings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for one in findings:
        counts = (str(one[name]) for name in ("both", "only_first", "only_second"))
        yield (one["finding"], *counts, _number(one["kappa"], 2), _number(one["positive_agreement"], 2))


def _against(findings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for one in findings:
        shares = (_interval(one[side][name]) for side in _SIDES for name in ("precision", "recall"))
        yield (one["finding"], str(one["n"]), *shares)


def _row(name: str, sides: Sequence[Mapping[str, Any]], value: Value) -> tuple[str, ...]:
    return name, *(value(one) for one in sides)


def _beside(part: str) -> Value:
    return lambda one: str(one["beside"][part])


def _score(name: str) -> Value:
    return lambda one: _interval(one[name])


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _interval(score: Mapping[str, float] | None, digits: int = 2) -> str:
    if score is None:
        return ""
    low, high = (_number(score[name], digits) for name in ("low", "high"))
    return f"{_number(score['value'], digits)} ({low} to {high})"
