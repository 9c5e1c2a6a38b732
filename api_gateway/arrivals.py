"""A number in a form that another page of the hospital sends: the room's page carries it in, and no address has it.

The sender is a stranger and stays one. Nothing is looked up, changed or said about anybody here: the answer is the
page that everybody gets, with the number as an attribute that the page takes out and looks up itself, under the session
of the person who reads there. So no proof of the sender is needed, and no rule of the page is loosened.
"""

import html
import re
from urllib.parse import parse_qsl

KINDS = ("accession", "patient", "study_uid")
LONGEST_FORM = 4 << 10  # bytes
_FORM = "application/x-www-form-urlencoded"
_NUMBER = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,64}")  # an id of DICOM PS3.5, 6.2, is no longer


def number_in(content_type: str, body: bytes) -> tuple[str, str] | None:
    """The number in a form and which number it is; None where the form does not have exactly one."""
    if content_type.partition(";")[0].strip().lower() != _FORM or len(body) > LONGEST_FORM:
        return None
    try:
        fields = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=8)
    except ValueError:
        return None
    found = [(kind, value.strip()) for kind, value in fields if kind in KINDS]
    return found[0] if len(found) == 1 and _NUMBER.fullmatch(found[0][1]) else None


def with_number(page: str, number: tuple[str, str] | None) -> str:
    """The page with the number in its head."""
    if number is None:
        return page
    kind, value = (html.escape(part) for part in number)
    return page.replace("<head>", f'<head>\n  <meta name="number" data-kind="{kind}" content="{value}">', 1)
