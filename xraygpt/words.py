"""The words of the system for people at a terminal: what became of a film, in a few words of plain English."""

from collections.abc import Collection

from xraygpt.caveats import WORDS
from xraygpt_core.states import DOUBTS, Flag, ReasonCode, StudyState

MARKS = {StudyState.SUMMARISED: "✓", StudyState.REJECTED: "✗", StudyState.DEAD: "‼", StudyState.CANCELLED: "–"}
OPEN_MARK = "…"

_REASONS = {
    ReasonCode.NOT_DICOM_OR_IMAGE: "neither DICOM nor PNG nor JPEG",
    ReasonCode.EMPTY: "an empty file",
    ReasonCode.TRUNCATED: "cut off: bytes are missing",
    ReasonCode.UNDECODABLE: "cannot be decoded",
    ReasonCode.NO_PIXELS: "holds no image",
    ReasonCode.BLANK: "shows nothing",
    ReasonCode.TOO_SMALL: "too small",
    ReasonCode.MULTI_FRAME: "several frames",
    ReasonCode.WRONG_MODALITY: "no projection radiograph",
    ReasonCode.WRONG_BODY_PART: "another part of the body",
    ReasonCode.NO_FRONTAL_VIEW: "no frontal view in the study",
    ReasonCode.BURNED_IN_TEXT: "patient data in the pixels",
    ReasonCode.TOO_LARGE: "too large",
    ReasonCode.REPLACED: "replaced by a newer file",
    ReasonCode.NOT_A_CHEST: "not a chest",
}
_OPEN = {
    StudyState.RECEIVED: "waits to be read",
    StudyState.INGESTING: "is being read",
    StudyState.WAITING: "waits for the rest of its study",
    StudyState.QUEUED: "waits for the GPU worker",
    StudyState.RUNNING: "its text is being written",
}
# A line has less room than a sentence.
_DOUBTS = WORDS | {Flag.NOT_VERIFIED_CHEST: "not verified", Flag.OUT_OF_SCOPE: "out of scope"}


def mark(state: str) -> str:
    """One letter for the state of a film."""
    return MARKS.get(StudyState(state), OPEN_MARK)


def without_text(state: str, reason_code: str | None) -> str:
    """Why a film has no text, or none yet; a reason code stands behind its words, for it is what documents name."""
    if state in _OPEN:
        return _OPEN[StudyState(state)]
    if reason_code is None:
        return f"{state}: see `xraygpt dead list`" if state == StudyState.DEAD else state
    return f"{state}: {_REASONS.get(ReasonCode(reason_code), '')} ({reason_code})"


def doubts(flags: Collection[str]) -> list[str]:
    """What to doubt about a film or its text, each in two or three words."""
    return [_DOUBTS[Flag(flag)] for flag in flags if flag in DOUBTS]
