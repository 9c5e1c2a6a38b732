"""Is a finding asserted, denied or left open by its sentence?

In the manner of NegEx (Chapman et al., J Biomed Inform 2001) and ConText, with rules of our own: trigger words, their
scope, and what ends it.
"""

import re
from collections.abc import Callable
from enum import Enum

from xraygpt_core.report.vocabulary import find_terms

Finder = Callable[[str], list[tuple[int, int, str]]]  # (start, end, kind) of everything a sentence names


class Assertion(Enum):
    """What the sentence says about a finding."""

    ASSERTED = "asserted"
    DENIED = "denied"
    OPEN = "open"  # possible, questioned, to be excluded


def _any(*patterns: str) -> str:
    return "(?:" + "|".join(patterns) + ")"


_CHANGE = (
    r"(?:(?:significant|definite|appreciable|interval|substantial|relevant|obvious|major|further|visible|convincing) )*"
    r"(?:change|improvement|increase|decrease|progression|worsening|enlargement|evolution|difference|resolution|"
    r"reduction)s?"
)
_ALTERED = r"(?:changed|improved|increased|decreased|altered|resolved)"
_PARTLY = r"(?:incomplet\w+|partial(?:ly)?|near(?:ly)? complet\w+|almost complet\w+|not complet\w+|part)"
# Negative words that deny something else than the finding; they are blanked out first.
_PSEUDO = re.compile(
    _any(
        rf"\b(?:no|without(?: any)?|not any|no evidence of)(?: {_CHANGE}(?: or)?)+ (?:in|of|to|since|from|compared)\b",
        r"\bnot only\b",
        rf"\bnot (?:(?:significantly|appreciably|substantially) )?{_ALTERED}\b",
        r"\b(?:has|have) not (?:yet )?(?:changed|improved|resolved|cleared)(?: (?:completely|entirely|fully))?\b",
        r"\bno doubt\b",
        r"\bnot unexpected\w*\b",
        rf"\b{_PARTLY} (?:resolv\w+|resolution|clear\w+)(?: of)?\b",
        r"\bno (?:longer )?(?:further )?(?:increase|larger)\b",
    )
)
_DENY_BEFORE = _any(
    r"no longer (?:any )?",
    r"no(?: \w+)?? (?:evidence|signs?|suggestion|indication|features?|findings?) (?:of|for|to suggest)",
    r"no|not|nor|neither|never|without|nil",
    r"negative for|free (?:of|from)|clear of|devoid of|absence of|absent|lack of|lacks|nothing to suggest",
    r"rather than|instead of|unlikely to (?:be|represent)",
    r"(?<!to )(?:excludes?|rules? out|ruled out|excluding)|fails? to (?:show|demonstrate)",
    r"(?:interval |complete |full |previous |now )*(?:resolution|clearance|clearing|removal|disappearance) of",
    r"resolved|removed|cleared",
)
_OPEN_BEFORE = _any(
    r"possibly|possible|questionable|question of|question|equivocal|query|borderline|suspected",
    r"(?:cannot|can not|(?:difficult|hard|impossible|unable) to) (?:entirely |completely )?(?:exclude|rule out)",
    r"(?:(?:does|do|did) )?not (?:exclude|rule out)",
    r"(?:may|might|could) (?:\w+ )?(?:be|represent|reflect|indicate|suggest|obscure|hide|mask)",
    r"(?:may|might|could|would) (?:\w+ )?(?:help|serve) to (?:find|show|see|detect|confirm)",
    r"(?:to|please|in order to) (?:exclude|rule out|evaluate for|assess for)|rule out",
    r"(?:evaluate|evaluation|assess|assessment) (?:for|of)",
    r"concern(?:ing)? for|worrisome for|suspicio(?:n|us) (?:for|of)|if there is|in case of|risk of",
    r"history of|versus|vs|differential includes|differential diagnosis",
)
_BE = r"(?:(?:is|are|was|were|has|have|had|been|be|now|being) )*"
_SEEN = (
    r"(?:seen|present|identified|visuali[sz]ed|visible|evident|demonstrated|noted|detected|apparent|appreciated|shown|"
    r"found|observed|suspected|there)"
)
_GONE = r"(?:ruled out|excluded|absent|resolved|cleared|disappeared|removed|negative|gone)"
_DENY_AFTER = _any(
    rf"{_BE}(?:not|no longer)(?: been| be)? (?:clearly |definitely |currently )?{_SEEN}",
    r"(?:cannot|can not) be (?:seen|identified|detected|appreciated)",
    rf"{_BE}(?:completely |fully |entirely |since |interval(?:ly)? |subsequently )*{_GONE}",
    rf"{_BE}(?:considered |felt to be |thought |very |highly |less )*unlikely",
    r": ?(?:no|none|absent|negative|nil)\b",
)
_OPEN_AFTER = _any(
    r"(?:cannot|can not|could not|not) (?:entirely |completely |definitely |be |been )*(?:excluded|ruled out)",
    rf"{_BE}(?:possible|questionable|equivocal|questioned|suspected|not certain|uncertain|to be excluded)",
    r"(?:should|must|needs? to) be excluded",
    rf"(?:may|might|could) (?:also |well )?be {_SEEN}",
)
_VERB = r"(?:is|are|was|were|remains?|persists?|shows?|demonstrates?|has|have|appears?|measures?|lies|extends?)"
_HARD = re.compile(
    r"\b(?:but|however|although|though|except(?: for)?|aside from|apart from|other than|yet|while|whereas|"
    r"with(?! no\b)|after|following|status post|despite|there (?:is|are)|because|which|secondary to|due to|"
    r"suggest(?:s|ing|ive)|"
    r"consistent with|compatible with)\b|[;:]| - "
)
_CUE_BEFORE = re.compile(rf"\b(?:(?P<open>{_OPEN_BEFORE})|(?P<deny>{_DENY_BEFORE}))\b")
_CUE_AFTER = re.compile(rf"(?:\b(?P<open>{_OPEN_AFTER})\b)|(?:(?:\b|(?=:))(?P<deny>{_DENY_AFTER}))")
_BREAK_AFTER = re.compile(
    rf"\b(?:but|however|although|though|except|while|whereas|with|{_VERB}|seen|present|noted|there|no|without|which)\b|;"
)
_SEPARATOR = re.compile(r",? and (?!/)|, ?(?!or\b|nor\b|and\b)")
_STARTER = re.compile(
    r"(?:an?|the|this|there|it|small|large|moderate|mild|minor|trace|minimal|tiny|slight|severe|extensive|dense|patchy|"
    r"stable|unchanged|new|newly|persist\w+|improv\w+|increas\w+|decreas\w+|worsen\w+|interval|bilateral|left|right|both|"
    r"enlarged|cardiomegaly|heart|probable|likely)\b"
)
_ADJECTIVE = re.compile(
    r"^(?:\s|,|(?:focal|acute|large|small|left|right|bilateral|new|obvious|significant|sizeable|definite|upper|lower|"
    r"lobar|discrete|confluent|the|a|an|any|of|frank|overt|gross|pleural|pulmonary|airspace|air|space|evidence|suspicious|other|"
    r"visible|displaced|for)\b)*$"
)


def mask_pseudo(sentence: str) -> str:
    """The sentence with pseudo-negations ("no change in", "not only") blanked out, same length."""
    return _PSEUDO.sub(lambda match: "~" * len(match.group()), sentence)


def scope_end(sentence: str, start: int) -> int:
    """Where the scope of a negation that ends at ``start`` stops.

    A list goes on ("no effusion, consolidation or pneumothorax"); a new statement does not ("no pneumothorax,
    small left effusion").
    """
    hard = _HARD.search(sentence, start)
    limit = hard.start() if hard else len(sentence)
    for separator in _SEPARATOR.finditer(sentence, start, limit):
        rest = sentence[separator.end() : limit]
        if _ADJECTIVE.match(sentence[start : separator.start()]):
            continue
        following = _SEPARATOR.search(rest)
        segment = rest[: following.start()] if following else rest
        comma = "and" not in separator.group()
        if comma and re.search(r"\b(?:n?or)\b", rest) and not re.search(rf"\b{_VERB}\b.*\b(?:n?or)\b", rest):
            continue
        if _STARTER.match(segment) or re.search(rf"\b{_VERB}\b|\b(?:seen|present|noted|unchanged)\b", segment):
            return separator.start()
    return limit


def status_of(sentence: str, start: int, end: int, find: Finder = find_terms) -> Assertion:
    """Status of the finding named at [start, end) of a lower-case sentence without pseudo-negations.

    ``find`` says what may stand in a list with it.
    """
    before: Assertion | None = None
    for cue in _CUE_BEFORE.finditer(sentence, 0, end):
        if scope_end(sentence, cue.end()) >= end or cue.start() >= start:
            before = Assertion.OPEN if cue["open"] else Assertion.DENIED
    if before is not None:
        return before
    for cue in _CUE_AFTER.finditer(sentence, end):
        between = sentence[end : cue.start()]
        if _BREAK_AFTER.search(between):
            break
        if "," in between and not find(between):
            break
        return Assertion.OPEN if cue["open"] else Assertion.DENIED
    return Assertion.ASSERTED
