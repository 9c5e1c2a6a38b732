"""Is a finding asserted, denied or left open by its sentence? In the manner of NegEx (Chapman et al., 2001) and ConText, with our own rules."""

import re
from enum import Enum

from xraygpt_core.report.vocabulary import find_terms


class Status(Enum):
    """What the sentence says about a finding."""

    ASSERTED = "asserted"
    DENIED = "denied"
    OPEN = "open"  # possible, questioned, to be excluded


_CHANGE = (
    r"(?:(?:significant|definite|appreciable|interval|substantial|relevant|obvious|major|further|visible|convincing) )*"
    r"(?:change|improvement|increase|decrease|progression|worsening|enlargement|evolution|difference|resolution|reduction)s?"
)
# Negative words that deny something else than the finding; they are blanked out first.
_PSEUDO = re.compile(
    rf"\b(?:no|without|without any|not any|no evidence of)(?: {_CHANGE}(?: or)?)+ (?:in|of|to|since|from|compared)\b|\bnot only\b|"
    r"\bnot (?:significantly |appreciably |substantially )?(?:changed|improved|increased|decreased|altered|resolved)\b|"
    r"\b(?:has|have) not (?:yet )?(?:changed|improved|resolved|cleared)(?: (?:completely|entirely|fully))?\b|\bno doubt\b|\bnot unexpected\w*\b|"
    r"\b(?:incomplet\w+|partial(?:ly)?|near(?:ly)? complet\w+|almost complet\w+|not complet\w+|part) (?:resolv\w+|resolution|clear\w+)(?: of)?\b|\bno (?:longer )?(?:further )?(?:increase|larger)\b"
)
_DENY_BEFORE = (
    r"no longer (?:any )?|no(?: \w+)?? (?:evidence|sign|signs|suggestion|indication|features?|findings?) (?:of|for|to suggest)|"
    r"no|not|nor|neither|never|without|negative for|free (?:of|from)|clear of|devoid of|absence of|absent|lack of|lacks|nil|nothing to suggest|"
    r"rather than|instead of|unlikely to (?:be|represent)|(?<!to )(?:excludes?|rules? out|ruled out|excluding)|fails? to (?:show|demonstrate)|"
    r"(?:interval |complete |full |previous |now )*(?:resolution|clearance|clearing|removal|disappearance|extubation) of|resolved|removed|cleared"
)
_OPEN_BEFORE = (
    r"possibly|possible|questionable|question of|question|equivocal|query|cannot (?:entirely |completely )?(?:exclude|rule out)|can not (?:exclude|rule out)|"
    r"(?:does|do|did) not (?:exclude|rule out)|not (?:exclude|rule out)|(?:may|might|could) (?:be|represent|reflect|indicate|suggest)|(?:may|might|could) (?:\w+ )?(?:be|represent)|"
    r"(?:to|please|evaluate for|assess for|evaluation of|in order to) (?:exclude|rule out|evaluate for|assess for)|evaluate for|evaluation for|assess for|assess(?:ment)? for|rule out|r/o|"
    r"concern(?:ing)? for|worrisome for|if there is|in case of|risk of|borderline|history of|versus|vs|differential includes|differential diagnosis"
)
_BE = r"(?:(?:is|are|was|were|has|have|had|been|be|now|being) )*"
_DENY_AFTER = (
    rf"(?:{_BE}(?:not|no longer)(?: been| be)? (?:clearly |definitely |currently )?(?:seen|present|identified|visuali[sz]ed|visible|evident|demonstrated|noted|detected|apparent|appreciated|shown|found|observed|suspected|there)|"
    rf"(?:cannot|can not) be (?:seen|identified|detected|appreciated)|"
    rf"{_BE}(?:completely |fully |entirely |since |interval(?:ly)? |subsequently )*(?:ruled out|excluded|absent|resolved|cleared|disappeared|removed|negative|gone)|"
    rf"{_BE}(?:considered |felt to be |thought |very |highly |less )*unlikely|: ?(?:no|none|absent|negative|nil)\b)"
)
_OPEN_AFTER = (
    r"(?:cannot|can not|could not|not) (?:entirely |completely |definitely |be |been )*(?:excluded|ruled out)|"
    rf"{_BE}(?:possible|questionable|equivocal|questioned|suspected but not|not certain|uncertain|to be excluded)|(?:should|must|needs? to) be excluded"
)
_VERB = r"(?:is|are|was|were|remains?|persists?|shows?|demonstrates?|has|have|appears?|measures?|lies|extends?)"
_HARD_BREAK = (
    r"\b(?:but|however|although|though|except(?: for)?|aside from|apart from|other than|yet|while|whereas|with(?! no\b)|after|following|"
    r"status post|despite|there (?:is|are)|because|which|secondary to|due to|suggest(?:s|ing|ive)|consistent with|compatible with)\b|[;:]| - "
)
_CUE_BEFORE = re.compile(rf"\b(?:(?P<open>{_OPEN_BEFORE})|(?P<deny>{_DENY_BEFORE}))\b")
_CUE_AFTER = re.compile(rf"(?:\b(?P<open>{_OPEN_AFTER})\b)|(?:(?:\b|(?=:))(?P<deny>{_DENY_AFTER}))")
_BREAK_AFTER = re.compile(
    rf"\b(?:but|however|although|though|except|while|whereas|with|{_VERB}|seen|present|noted|there|no|without|which)\b|;"
)
_HARD = re.compile(_HARD_BREAK)
_SEPARATOR = re.compile(r",? and (?!/)|, ?(?!or\b|nor\b|and\b)")
_STARTER = re.compile(
    r"(?:an?|the|this|there|small|large|moderate|mild|minor|stable|unchanged|new|newly|persist\w+|trace|minimal|tiny|slight|improv\w+|increas\w+|"
    r"decreas\w+|worsen\w+|interval|severe|extensive|dense|patchy|bilateral|left|right|both|it|enlarged|cardiomegaly|heart|probable|likely)\b"
)
_ADJECTIVE = re.compile(
    r"^(?:\s|,|(?:focal|acute|large|small|left|right|bilateral|new|obvious|significant|sizeable|definite|upper|lower|lobar|discrete|confluent|the|a|an|any|"
    r"of|frank|overt|gross|pleural|pulmonary|airspace|air|space|evidence|suspicious|other|visible|displaced|for)\b)*$"
)


def mask_pseudo(sentence: str) -> str:
    """The sentence with pseudo-negations ("no change in", "not only") blanked out, same length."""
    return _PSEUDO.sub(lambda match: "~" * len(match.group()), sentence)


def scope_end(sentence: str, start: int) -> int:
    """Where the scope of a negation that ends at ``start`` stops.

    A list goes on ("no effusion, consolidation or pneumothorax"); a new statement does not ("no pneumothorax, small left effusion").
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


def status_of(sentence: str, start: int, end: int) -> Status:
    """Status of the finding named at [start, end) of a lower-case sentence without pseudo-negations."""
    before: Status | None = None
    for cue in _CUE_BEFORE.finditer(sentence, 0, end):
        if scope_end(sentence, cue.end()) >= end or cue.start() >= start:
            before = Status.OPEN if cue["open"] else Status.DENIED
    if before is not None:
        return before
    for cue in _CUE_AFTER.finditer(sentence, end):
        between = sentence[end : cue.start()]
        if _BREAK_AFTER.search(between):
            break
        if "," in between and not find_terms(between):
            break
        return Status.OPEN if cue["open"] else Status.DENIED
    return Status.ASSERTED
