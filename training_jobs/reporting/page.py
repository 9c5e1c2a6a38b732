"""The page of a run: one file of HTML, without script, link or anything that is loaded."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from training_jobs.reporting.curves import Progress, chart
from training_jobs.reporting.elements import element, page_bytes, paragraph, section, table
from training_jobs.reporting.examples import Example
from training_jobs.reporting.facts import SET_HEADS
from training_jobs.reporting.scores import differences, scores
from training_jobs.reporting.style import CSS, POLICY
from xraygpt_core.model.pictures import open_grey

WARNING = "AI-generated drafts, not a diagnosis. The films and texts on this page may be patient data."
_SIDE = 320  # pixels of a film's longer side
_CHARTS = (
    ("Loss", ("loss", "held_out", "swapped")),
    ("Samples a second", ("samples_per_s",)),
    ("Learning rate", ("lr",)),
    ("Gradient norm", ("grad_norm",)),
)
_LABELS = {
    "loss": "training",
    "held_out": "held out",
    "swapped": "held out, images swapped",
    "lr": "learning rate",
    "samples_per_s": "samples a second",
    "grad_norm": "gradient norm",
}
_ROWS = 8  # of the table beside the curves


@dataclass(frozen=True)
class Story:
    """What a report tells.

    Attributes:
        facts: names and values of what was trained, from what, and what came of it.
        remarks: what a reader must know of them.
        sets, dropped, settings: rows of tables, as :mod:`training_jobs.reporting.facts` gives them.
        progress: None where the run left none.
        split: the split of the examples.
        examples: none where ``why_no_examples`` says why.
        usual: the most frequent report of what was trained on.
        command: what repeats the run.
        config: the configuration it names, as JSON.
    """

    job: str
    facts: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    sets: Sequence[Sequence[str]]
    dropped: Sequence[Sequence[str]]
    settings: Sequence[Sequence[str]]
    progress: Progress | None
    split: str
    examples: Sequence[Example]
    why_no_examples: str | None
    usual: str | None
    command: str
    config: str


def page(story: Story) -> bytes:
    """The page, UTF-8."""
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", None, f"Training report: {story.job}"),
        element("style", None, CSS),
    )
    body = element(
        "body",
        None,
        element("h1", None, f"Training report: {story.job}"),
        element("p", {"class": "warning", "role": "note"}, WARNING),
        section("What was trained", table(("what", "value"), story.facts), *map(paragraph, story.remarks)),
        _data(story),
        _settings(story),
        _progress(story.progress),
        _examples(story),
        section(
            "How to repeat it",
            paragraph(
                "With the same base, the same data and the same software, this gives the same weights: bit for bit on "
                "one machine's CPU in float32, nearly so elsewhere."
            ),
            element("pre", None, story.command),
            paragraph("config.json:"),
            element("pre", None, story.config),
        ),
    )
    return page_bytes(element("html", {"lang": "en"}, head, body))


def _data(story: Story) -> Element:
    if not story.sets:
        return section("Data", paragraph("This run read no set of images: it trained on text alone."))
    parts: list[Any] = [table(SET_HEADS, story.sets)]
    if story.dropped:
        parts += [element("h3", None, "Read, and not trained on"), table(("set", "reason", "number"), story.dropped)]
    else:
        parts.append(paragraph("Nothing that was read was dropped, as far as the corpora say."))
    return section("Data", *parts)


def _settings(story: Story) -> Element:
    heads = ("setting", "this run", "published", "source", "why")
    published = any(any(row[2:]) for row in story.settings)
    rows = story.settings if published else [row[:2] for row in story.settings]
    return section("Settings", table(heads if published else heads[:2], rows))


def _progress(progress: Progress | None) -> Element:
    if progress is None or not progress.curves:
        return section("Curves", paragraph("This run left no progress to draw."))
    parts: list[Any] = []
    for title, names in _CHARTS:
        curves = [(_LABELS[name], progress.curves[name]) for name in names if name in progress.curves]
        if curves:
            parts += [element("h3", None, title), chart(f"{title} over the steps", curves)]
    parts.append(_numbers(progress))
    if progress.unread:
        parts.append(paragraph(f"{progress.unread} lines of progress could not be read."))
    return section("Curves", *parts)


def _numbers(progress: Progress) -> Element:
    """The curves in numbers, for whoever cannot see them."""
    names = [name for name in _LABELS if name in progress.curves]
    longest = max((progress.curves[name] for name in names), key=len)
    places = sorted({round(part * (len(longest) - 1) / (_ROWS - 1)) for part in range(_ROWS)})
    rows = [
        [f"{longest[place][0]:.0f}", *(_nearest(progress, name, longest[place][0]) for name in names)]
        for place in places
    ]
    rows.append(["last", *(f"{progress.last[name]:.4g}" for name in names)])
    return table(("step (mean around it)", *(_LABELS[name] for name in names)), rows)


def _nearest(progress: Progress, name: str, step: float) -> str:
    return f"{min(progress.curves[name], key=lambda point: abs(point[0] - step))[1]:.4g}"


def _examples(story: Story) -> Element:
    if not story.examples:
        return section("Examples", paragraph(f"There are none: {story.why_no_examples}."))
    kept = "" if story.split != "train" else " None was kept back: these films were trained on."
    measured = scores(story.examples, story.usual)
    rows = [[name, *values.values()] for name, values in measured]
    heads = ("a text about", *measured[0][1])
    return section(
        "Examples",
        paragraph(
            f"{len(story.examples)} films of the {story.split} split, written by the engine that serves.{kept} "
            "Findings are read back from the texts by our labeller, which errs. The films are few: the intervals "
            "(95 %) are wide. A model that reads the film stands clearly above its controls."
        ),
        table(heads, rows),
        *(_example(number, one) for number, one in enumerate(story.examples, 1)),
    )


def _example(number: int, one: Example) -> Element:
    both, added, missed = differences(one.text, one.pair.text or "")
    texts = [
        ("Wanted", one.pair.text or ""),
        ("Written", one.text),
        ("Findings both name", _named(both)),
        ("Only in what was written", _named(added)),
        ("Only in what was wanted", _named(missed)),
        ("Control: asked the same of another patient's film", one.swapped if one.swapped is not None else "no other"),
        ("Control: asked the same of a black picture", one.without),
    ]
    told = [part for name, text in texts for part in (element("dt", None, name), element("dd", None, paragraph(text)))]
    film = element("img", {"src": _picture(one.png), "alt": f"film {number}"})
    described = element("div", None, element("h3", None, f"Film {number}, set {one.pair.set_name}"))
    described.append(element("dl", None, *told))
    return element("article", {"class": "example"}, element("div", None, film), described)


def _named(findings: Sequence[str]) -> str:
    return ", ".join(finding.replace("_", " ") for finding in findings) or "none"


def _picture(png: bytes) -> str:
    """The film as a small grey JPEG in a data URI, from its pixels alone."""
    grey = open_grey(png)
    grey.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    grey.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
