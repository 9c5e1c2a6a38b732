"""What a target text must be to be learned from."""

from xraygpt_core.training.datasets.problems import Kind

MOST_LETTERS = 20_000  # a long report has 4,000
_REPEATED = 4  # words


def objection(text: str, *names: str) -> tuple[str, Kind] | None:
    """Why a text cannot be a target, as a sentence and its kind; None if it can.

    Args:
        names: of the row and its image, which no text is.
    """
    if not text.strip():
        return "the text is empty", Kind.EMPTY_TEXT
    if len(text) > MOST_LETTERS:
        return f"the text has {len(text)} letters; the most is {MOST_LETTERS}", Kind.LONG_TEXT
    if "\0" in text or not _whole(text):
        return "the text holds a NUL or half a letter", Kind.ENCODING
    words = {word.strip(".,;:!?").casefold() for word in text.split()}
    if len(words) == 1 and len(text.split()) >= _REPEATED:
        return "the text is one word again and again", Kind.REPEATED_TEXT
    if text.strip() in _parts(names):
        return "the text is the name of the file", Kind.NAME_AS_TEXT
    return None


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parts(names: tuple[str, ...]) -> set[str]:
    """Names with and without their folders and endings."""
    short = {name.rpartition("/")[2] for name in names}
    return {*names, *short, *(name.partition(".")[0] for name in short)}
