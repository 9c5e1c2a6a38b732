"""The words for each finding. Patterns match lower-case text in which hyphens are spaces."""

import re

_COSTOPHRENIC = r"(?:costo ?phrenic|cp|costodiaphragmatic) (?:angles?|sulci|sulcus|recess(?:es)?)"
_BLUNT = r"(?:blunt(?:ed|ing)?|obliterat(?:ed|ion)|effaced|effacement|obscured|filled)"
_HEART = (
    r"(?:heart(?: size| shadow| silhouette)?|card(?:iac|iomediastinal) (?:silhouette|shadow|size|contours?|outline))"
)
_LARGE = r"(?:enlarged|increased|enlargement|larger than normal|oversized)"
# Words that end the heart's own clause: what is enlarged after them is something else.
_OTHER = r"(?:and(?! (?:is|the mediastin|mediastin|remains|appears))|but|with|normal|nodes?|hil\w*|aort\w*|nodul\w*|effusion\w*|lungs?|vessel\w*)"

_TERMS: dict[str, str] = {
    "nodule": (
        r"(?<!thyroid )(?<!soft tissue )\b(?:nodules?\b(?! station)|nodular (?:\w+ )?(?:opacit(?:y|ies)|densit(?:y|ies)|lesions?|shadows?|foc(?:us|i))|"
        r"coin lesions?|round(?:ed)? (?:\w+ )?(?:lesions?|opacit(?:y|ies)|densit(?:y|ies))|(?:solitary|pulmonary) nodular \w+)"
    ),
    "cardiomegaly": (
        r"\bcardiomegaly|\bcardiac enlargement|\bcardio ?thoracic ratio (?:\w+ ){0,3}(?:increased|above|exceeds?|greater)|"
        rf"\benlarge(?:d|ment)(?: of the| of)? (?:\w+ )??{_HEART}\b|\blarge (?:heart|cardiac silhouette)\b|"
        rf"\b{_HEART}\b(?: (?!{_OTHER}\b)\w+)*? (?={_LARGE}\b)"
    ),
    "effusion": (
        r"(?<!pericardial )(?<!joint )(?<!pericardial or )\beffusions?\b|\bpleural (?:fluid|collections?)|\bhydro ?thorax|\bha?emo ?thorax|\bempyema|"
        r"\bhydro ?pneumo ?thora(?:x|ces)|\bmeniscus sign|\bfluid (?:\w+ ){0,3}pleural (?:space|cavity)|\blayering fluid|"
        rf"\b{_BLUNT} (?:of |the |both |bilateral |left |right |lateral |posterior )*{_COSTOPHRENIC}|"
        rf"\b{_COSTOPHRENIC}(?: (?!sharp|clear|and|but|with)\w+){{0,4}}? (?={_BLUNT}\b)"
    ),
    "pneumothorax": (
        r"\b(?:hydro ?)?pneumo ?thora(?:x|xes|ces)\b|\bptx\b|\b(?:visceral )?pleural line\b|\b(?:collapsed )?lung edge|"
        r"\b(?:free )?(?:pleural air|air in the pleural (?:space|cavity))|\bdeep sulcus sign"
    ),
    "consolidation": (
        r"\bconsolidat(?:ion|ions|ive|ed)\b(?: opacit(?:y|ies)| changes?)?|\b(?:broncho ?)?pneumoni(?:a|as|c)\b|\binfiltrat(?:e|es|ion)\b|"
        r"\bair ?space (?:opacit(?:y|ies)|disease|opacification|shadowing|process|change)|"
        r"(?<!linear )(?<!nodular )(?<!reticular )(?<!interstitial )(?<!atelectatic )(?<!calcified )(?<!streaky )(?<!band like )"
        r"\b(?:opacit(?:y|ies)|opacification|shadowing)\b"
        r"(?! (?:\w+ ){0,7}?(?:due to|from|representing|reflecting|consistent with|compatible with) (?:\w+ ){0,2}(?:effusion|atelectasis|scar\w*|fibrosis))"
    ),
    "device": (
        r"\bpace ?makers?\b|\bpacers?\b|\ba?icd\b|\bdefibrillators?|\bpulse generator|\b(?:central|picc|midline|jugular|subclavian|dialysis|arterial) lines?\b|"
        r"\b(?:central |venous |picc |hickman |dialysis |swan ganz |port |pigtail |jugular |subclavian )*catheters?\b|\bcvc\b|\bpicc\b|\bport ?a ?cath|\bmedi ?port|\bports?\b|"
        r"\b(?:endo ?tracheal|tracheal|et|tracheostomy|naso ?gastric|oro ?gastric|enteric|enteral|feeding|ng|og|dobhoff|chest|thoracostomy|drainage|support) tubes?\b|\bett\b|\btracheostomy|"
        r"\btubes? (?:and|or) lines?|\blines? (?:and|or|,) tubes?|\btubes?\b|"
        r"\b(?:chest|intercostal|pleural|pigtail) drains?\b|\b(?:sternal|sternotomy|cerclage) (?:wires?|sutures?)|\bsternotomy\b|"
        r"\b(?:prosthetic|mechanical|artificial) (?:\w+ )?valves?|\bvalve (?:prosthes[ie]s|replacement)|\bballoon pump|\bloop recorder|"
        r"\b(?:ecg|ekg|monitoring|pacing|pacemaker|icd|atrial|ventricular|cardiac) (?:leads?|electrodes?|wires?)\b|\b(?:support|implanted|medical|monitoring|cardiac)? ?devices?\b"
    ),
}

TERMS: dict[str, re.Pattern[str]] = {kind: re.compile(pattern) for kind, pattern in _TERMS.items()}


def find_terms(sentence: str) -> list[tuple[int, int, str]]:
    """(start, end, kind) of every finding named in the sentence, in order.

    "nodular opacity" is a nodule and no consolidation: where two kinds overlap, the earlier entry of ``TERMS`` wins, except that a
    hydropneumothorax is both fluid and air.
    """
    found: list[tuple[int, int, str]] = []
    for kind, pattern in TERMS.items():
        for match in pattern.finditer(sentence):
            start, end = match.span()
            clash = any(start < e and s < end for s, e, _ in found)
            if not clash or ("hydro" in match.group() and "pneumo" in match.group()):
                found.append((start, end, kind))
    return sorted(found)
