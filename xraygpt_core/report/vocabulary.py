"""The words for each finding. Patterns match lower-case text in which hyphens are spaces."""

import re

_COSTOPHRENIC = r"(?:costo ?phrenic|cp|costodiaphragmatic) (?:angles?|sulci|sulcus|recess(?:es)?)"
_BLUNT = r"(?:blunt(?:ed|ing)?|obliterat(?:ed|ion)|effaced|effacement|obscured|filled)"
_HEART = (
    r"(?:heart(?: size| shadow| silhouette)?|card(?:iac|iomediastinal) (?:silhouette|shadow|size|contours?|outline))"
)
_LARGE = r"(?:enlarged|increased|enlargement|larger than normal|oversized|large(?=$|[,;]| and| for))"
# Words that end the heart's own clause: what is enlarged after them is something else.
_OTHER = (
    r"(?:and(?! (?:is|the mediastin|mediastin|remains|appears|\w+ly enlarged|enlarged))|"
    r"but|with|normal|nodes?|hil\w*|aort\w*|nodul\w*|"
    r"effusion\w*|lungs?|vessel\w*)"
)
_NODULAR = r"(?:opacit(?:y|ies)|densit(?:y|ies)|lesions?|shadows?|foc(?:us|i))"
_QUALIFIED = ("linear", "nodular", "reticular", "interstitial", "atelectatic", "calcified", "streaky", "band like")
_NOT_FLUID_OR_COLLAPSE = (
    r"(?!(?:(?! and )[^;]){0,80}? "
    r"(?:due to|from|representing|reflecting|consistent with|compatible with|in keeping with) "
    r"(?:\w+ ){0,3}(?:effusions?|atelectasis|scar\w*|fibrosis)\b)"
)

_NODULE = (
    r"(?<!thyroid )(?<!soft tissue )\bnodules?\b",
    rf"\bnodular (?:\w+ )?{_NODULAR}",
    r"\bcoin lesions?",
    rf"\bround(?:ed)? (?:\w+ )?{_NODULAR}",
)
_CARDIOMEGALY = (
    r"\bcardiomegaly",
    r"\bcardiac enlargement",
    r"\bcardio ?thoracic ratio (?:\w+ ){0,3}(?:increased|above|exceeds?|greater)",
    rf"\benlarge(?:d|ment)(?: of the| of)? (?:\w+ )??{_HEART}\b",
    r"\blarge (?:heart|cardiac silhouette)\b",
    rf"\b{_HEART}\b(?: (?!{_OTHER}\b)\w+)*? (?={_LARGE}\b)",
)
_EFFUSION = (
    r"(?<!pericardial )(?<!joint )(?<!pericardial or )\beffusions?\b",
    r"\bpleural (?:fluid|collections?)",
    r"\bhydro ?thorax|\bha?emo ?thorax|\bempyema|\bhydro ?pneumo ?thora(?:x|ces)",
    r"\bmeniscus sign|\blayering fluid|\bfluid (?:\w+ ){0,3}pleural (?:space|cavity)",
    rf"\b{_BLUNT} (?:of |the |both |bilateral |left |right |lateral |posterior )*{_COSTOPHRENIC}",
    r"\bcosto ?phrenic (?:\w+ )?blunting",
    rf"\b{_COSTOPHRENIC}(?: (?!sharp|clear|and|but|with)\w+){{0,4}}? (?={_BLUNT}\b)",
)
_PNEUMOTHORAX = (
    r"\b(?:hydro ?)?pneumo ?thora(?:x|xes|ces)\b|\bptx\b",
    r"\b(?:visceral )?pleural line\b|\b(?:collapsed )?lung edge",
    r"\b(?:free )?(?:pleural air|air in the pleural (?:space|cavity))|\bdeep sulcus sign",
)
_CONSOLIDATION = (
    r"\bconsolidat(?:ion|ions|ive|ed)\b(?: opacit(?:y|ies)| changes?)?",
    r"\b(?:broncho ?)?pneumoni(?:a|as|c)\b",
    r"\binfiltrat(?:e|es|ion)\b",
    r"\bair ?space (?:opacit(?:y|ies)|disease|opacification|shadowing|process|change)",
    "".join(rf"(?<!{word} )" for word in _QUALIFIED)
    + rf"\b(?:opacit(?:y|ies)|opacification|shadowing)\b{_NOT_FLUID_OR_COLLAPSE}",
)
_LINE = r"(?:central|picc|midline|jugular|subclavian|dialysis|arterial)"
_TUBE = (
    r"(?:endo ?tracheal|tracheal|et|tracheostomy|naso ?gastric|oro ?gastric|enteric|enteral|feeding|ng|og|dobhoff|"
    r"chest|thoracostomy|drainage|support)"
)
_DEVICE = (
    r"\bpace ?makers?\b|\bpacers?\b|\ba?icd\b|\bdefibrillators?|\bpulse generator|\bstimulators?\b|\bloop recorder",
    rf"\b{_LINE} lines?\b|\bcvc\b|\bpicc\b",
    r"\b(?:central |venous |picc |hickman |dialysis |swan ganz |port |pigtail |jugular |subclavian )*catheters?\b",
    r"\bport ?a ?cath|\bmedi ?port|\bports?\b",
    rf"\b{_TUBE} tubes?\b|\bett\b|\btracheostomy",
    r"\btubes? (?:and|or) lines?|\blines? (?:and|or|,) tubes?|\btubes?\b",
    r"\b(?:chest|intercostal|pleural|pigtail) drains?\b",
    r"\b(?:sternal|sternotomy|cerclage) (?:wires?|sutures?)",
    r"\b(?:prosthetic|mechanical|artificial) (?:\w+ )?valves?|\bvalve (?:prosthes[ie]s|replacement)|\bballoon pump",
    r"\b(?:ecg|ekg|monitor(?:ing)?|pacing|pacemaker|icd|atrial|ventricular|cardiac) (?:leads?|electrodes?|wires?)\b",
    r"\b(?:support |implanted |medical |monitoring |cardiac )?devices?\b",
)

TERMS: dict[str, re.Pattern[str]] = {
    kind: re.compile("|".join(patterns))
    for kind, patterns in {
        "nodule": _NODULE,
        "cardiomegaly": _CARDIOMEGALY,
        "effusion": _EFFUSION,
        "pneumothorax": _PNEUMOTHORAX,
        "consolidation": _CONSOLIDATION,
        "device": _DEVICE,
    }.items()
}


def find_terms(sentence: str) -> list[tuple[int, int, str]]:
    """(start, end, kind) of every finding named in the sentence, in order.

    "nodular opacity" is a nodule and no consolidation: where two kinds overlap, the earlier entry of ``TERMS`` wins,
    except that a hydropneumothorax is both fluid and air.
    """
    found: list[tuple[int, int, str]] = []
    for kind, pattern in TERMS.items():
        for match in pattern.finditer(sentence):
            start, end = match.span()
            clash = any(start < e and s < end for s, e, _ in found)
            if not clash or ("hydro" in match.group() and "pneumo" in match.group()):
                found.append((start, end, kind))
    return sorted(found)
