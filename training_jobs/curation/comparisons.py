"""Words that compare a film with another, and how to take them out of a sentence."""

import re

# "Previous granulomatous disease" compares with nothing.
_NOT_PAST = (
    r"(?! (?:\w+ )?(?:granul\w+|surg\w+|stern\w+|fractur\w+|infect\w+|trauma\w*|tubercul\w+|cabg|inflam\w+|disease|"
    r"injur\w+|process\w*|operat\w+|\w+ectomy|histoplasm\w+|bypass|insult|repair|pneumonia))"
)
_END = r"(?=[.;,]|$)"
_OTHER_FILM = (
    r"(?:since|from|relative to|similar to|in the interval since|over the interval from|than on|as on) (?:the |a )?"
    r"(?:most )?(?:recent |immediate )?(?:prior|previous\w*|earlier|last|comparison|preceding|old|outside)"
)
_COMPARED = r"(?:as |when )?(?:compared|in comparison|comparing) (?:to|with)"
_SAME = r"(?:stable|unchanged|similar|the same)"
_A_CHANGE = r"(?:change|increase|decrease|improvement|worsening|resolution|progression|removal|clearing|growth)"
_STILL = (
    rf"(?:stable|unchanged|persistent(?:ly)?|persisting|residual|interval(?! {_A_CHANGE})|newly|new|again|recurrent|"
    r"redemonstrated)"
)
# Each can go without taking anything else with it; the order counts.
_ASIDE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"[,(]?\s*\b(?:{_COMPARED}|{_OTHER_FILM}{_NOT_PAST})\b[^.;]*?(?=[.;]|$|, (?:and|with|but)\b)",
        r"[,(]?\s*\b(?:in (?:stable|unchanged) (?:appearance|configuration)|stable in (?:appearance|size|position))\b",
        r"[,(]?\s*\b(?:again|re) ?-?(?=(?:seen|noted|identified|demonstrated|visuali[sz]ed)\b)",
        rf"[,(]?\s*\b(?:(?:which|that) )?(?:is|are|has been|have been|appears?|remains?) {_SAME}"
        rf"(?: in (?:appearance|size|position|configuration|extent))?\)?{_END}",
        rf"[,(]\s*(?:stable|unchanged|similar in appearance|as before)\)?{_END}",
        rf"\b(?:grossly |relatively |essentially |overall )?{_STILL}\b(?! (?:since|from|compared))\s*(?:and )?",
    )
)
_IN_PLACE = re.compile(r"\bin (?:stable|unchanged) (?:position|location)\b", re.IGNORECASE)
_REMAIN = re.compile(r"\bremain(s?) (?=\w)", re.IGNORECASE)
STILL_COMPARES = re.compile(
    rf"\b(?:compar\w+|(?:prior|previous\w*){_NOT_PAST}|interval|since|unchanged|worsen\w*|improv\w+|no longer|earlier|"
    r"progress\w*|resol(?:v\w+|ution)|developed|development|persist\w*|no (?:\w+ )?changes?|not changed|changed|stable|"
    r"new|(?:has|have) (?:\w+ )?(?:increased|decreased)|(?:increas|decreas|enlarg)ing|(?:increase|decrease) in)\b",
    re.IGNORECASE,
)


def without_comparison(said: str) -> str:
    """A sentence without the words that compare and can go; it may compare all the same."""
    said = _IN_PLACE.sub("in place", said)
    for pattern in _ASIDE:
        said = tidy(pattern.sub(" ", said))
    return tidy(_REMAIN.sub(lambda found: "is " if found[1] else "are ", said))


def tidy(text: str) -> str:
    """A text whose words went, without the white space and the commas they leave."""
    text = re.sub(r"\(\s*\)", "", " ".join(text.split()))
    text = re.sub(r"\s+([.,;:)])", r"\1", text)
    return re.sub(r"([.,;])(?:\s*[.,;])+", r"\1", text).strip(" ,;")
