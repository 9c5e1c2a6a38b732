"""The words for all that a chest report may observe: wider than the eleven labels, CheXpert's classes beside them.

Patterns match the plain sentences of :func:`xraygpt_core.report.labeller.sentences_of`: lower case, hyphens opened.
``CHEXPERT`` says which of CheXpert's fourteen classes (Irvin et al. 2019, table 1) a kind belongs to.
"""

import re
from functools import lru_cache

_HEART = r"(?:heart|cardiac|cardio\w*)"
_BIG = r"(?:enlarge\w*|cardiomegal\w*|oversized|increased in size)"
_SPINE = r"(?:spin\w+|thoracic|dorsal|vertebra\w*)"

# The order counts where two kinds would share words: the earlier one has them.
_PATTERNS: dict[str, str] = {
    # general statements are told from findings first: "no acute disease"
    "pericardial effusion": r"pericardial (?:effusion|fluid)s?",
    "pneumothorax": r"(?:hydro ?|h(?:a)?emo ?)?pneumo ?thora(?:x|xes|ces)|\bptx\b|pleural air|deep sulcus sign|"
    r"pleural line",
    "free air": r"free (?:\w+ )?air\b|free (?:intra ?peritoneal|subdiaphragmatic|abdominal) (?:air|gas)|"
    r"pneumo ?peritoneum",
    "subcutaneous air": r"(?:subcutaneous|soft tissue) (?:emphysema|air|gas)|pneumo ?mediastinum|"
    r"mediastinal (?:emphysema|air|gas)",
    "effusion": r"effusions?\b|pleural (?:fluid|collections?|air collections?)|(?:hydro|h(?:a)?emo) ?thorax|empyema|"
    r"meniscus sign|layering fluid|fluid (?:\w+ ){0,5}(?:pleural spaces?|fissures?)|fissural fluid|"
    r"pleural spaces? (?:\w+ )?fluid|"
    r"(?:blunt|obliterat|effac)\w* (?:of |the |both |bilateral |left |right |lateral |posterior |and )*"
    r"(?:costo ?phrenic|cp|costodiaphragmatic)? ?(?:angle|sulc|recess)\w*|"
    r"(?:costo ?phrenic|cp|costodiaphragmatic) (?:angle|sulc|recess)\w* (?:\w+ ){0,3}(?:blunt|obliterat|effac)\w*|"
    r"costo ?phrenic (?:\w+ )?blunting",
    "pleural thickening": r"pleural (?:\w+ ){0,3}?(?:thickening|plaques?|scar\w*|calcif\w+|reaction|capping)|"
    r"thickening of (?:the )?(?:\w+ )?pleura|apical (?:pleural )?(?:caps?|capping|thickening)|"
    r"pleural (?:based )?plaques?|"
    r"thicken\w* (?:\w+ )?(?:minor |major |oblique )?fissure|(?:fissure|fissural) (?:\w+ )?thicken\w*",
    "elevated diaphragm": r"(?:elevat|rais|eventrat)\w*(?: \w+){0,5}? (?:hemi ?)?diaphragms?|"
    r"(?:hemi ?)?diaphragms?(?: \w+){0,4}? (?:elevat|rais|eventrat)\w*|eventration",
    "flat diaphragm": r"flatten\w*(?: \w+){0,5}? (?:hemi ?)?diaphragms?|"
    r"(?:hemi ?)?diaphragms?(?: \w+){0,3}? flatten\w*",
    "hernia": r"hernias?\b|herniation|(?:intra ?thoracic|retrocardiac) stomach",
    "cardiomegaly": rf"cardiomegaly|cardiac enlargement|{_BIG}(?: \w+){{0,3}}? {_HEART}\b(?: silhouette| size|"
    rf" shadow)?|"
    rf"{_HEART}(?: (?!normal|within|unremarkable|but|with|lungs?|aort\w*|effus\w*|hil\w*)\w+){{0,7}}? {_BIG}|"
    r"(?:large|big|borderline|prominen\w+)(?: of)?(?: the)? (?:heart|cardiac (?:silhouette|shadow|size|contours?))|"
    r"(?:heart|cardiac)(?: \w+){0,4}? (?:large|big|borderline|prominent)\b|ventric(?:le|les|ular) (?:enlargement|"
    r"prominence|"
    r"hypertrophy)|(?:enlarge|prominen)\w* (?:of the )?(?:left |right )?ventric\w+|"
    r"cardio ?thoracic ratio (?:\w+ ){0,3}(?:increased|above|exceeds?|greater)",
    "wide mediastinum": r"(?:widen|enlarge|prominen|broad|full)\w*(?: \w+){0,4}? mediastin\w*|"
    r"mediastin\w*(?: (?!and|normal|within)\w+){0,4}? (?:widen|prominen|broad|enlarge)\w*|"
    r"(?:para ?tracheal|vascular pedicle)(?: \w+){0,3}? (?:widen|prominen|full|thicken)\w*|"
    r"(?:widen|prominen|full|thicken)\w*(?: \w+){0,3}? (?:para ?tracheal|vascular pedicle)",
    "aortic calcification": r"athero ?sclero\w+|arterio ?sclero\w+|calcif\w+(?: \w+){0,5}? (?:aort\w*|arch|vascular|"
    r"arter\w*|"
    r"coronary)|(?:aort\w*|vascular|arter\w*|coronary|arch)(?: \w+){0,3}? calcif\w+|atheromat\w+",
    "tortuous aorta": r"tortu\w+|ectasia|ectatic|unfold\w*|uncoil\w*|elongat\w+|(?:prominen|dilat|"
    r"enlarge)\w*(?: \w+){0,3}? aort\w*|"
    r"aort\w*(?: \w+){0,3}? (?:prominen|dilat|enlarge)\w*",
    "aneurysm": r"aneurysm\w*",
    "tracheal deviation": r"(?:trachea\w*|mediastin\w+)(?: \w+){0,4}? (?:deviat|shift|displac)\w*|"
    r"(?:deviat|shift|displac)\w*(?: \w+){0,3}? (?:trachea\w*|mediastin\w+)",
    "lymphadenopathy": r"(?:lymph)?adenopath\w*|lymph nodes?\b|(?:enlarge\w*|calcif\w*)(?: \w+){0,3}? nodes?\b|"
    r"(?:hil\w+|mediastinal)(?: \w+){0,2}? (?:lymph|nodes?)\b",
    "hilar enlargement": r"hil(?:ar|a|um|us)\b(?: \w+){0,3}? (?:prominen|full|enlarge|promine)\w*|"
    r"(?:prominen|full|enlarge)\w*(?: \w+){0,3}? hil(?:ar|a|um|us)\b",
    "large pulmonary artery": r"(?:enlarge|prominen|dilat)\w*(?: \w+){0,3}? pulmonary (?:arter\w+|trunk)|"
    r"pulmonary (?:arter\w+|trunk)(?: \w+){0,3}? (?:enlarge|prominen|dilat)\w*|pulmonary (?:arterial )?hypertension",
    "vascular congestion": r"congest\w*|engorge\w*|cephaliz\w*|(?:vascular|vasculature|vessels?)(?: \w+){0,3}? "
    r"(?:prominen|enlarge|increas|distend|redistribut)\w*|(?:prominen|enlarge|increas|distend)\w*(?: \w+){0,3}? "
    r"(?:vascular\w*|vasculature|vessels?)|venous hypertension|(?:fluid|volume) overload|(?:heart|cardiac) failure|"
    r"\bchf\b|"
    r"decompensat\w+|kerley\w*(?: [ab])?(?: lines?)?|septal (?:lines?|thicken\w*)",
    "edema": r"o?edema\w*|\bards\b|respiratory distress syndrome",
    "emphysema": r"emphysem\w*|\bcopd\b|obstructive (?:pulmonary|lung|airways?)(?: disease)?|bull(?:a|ae|ous)\b|"
    r"blebs?\b|"
    r"air trapping",
    "hyperinflation": r"(?:hyper|over) ?(?:inflat|expan|aerat|distend)\w*|hyper ?lucen\w*|(?:large|increased|"
    r"high) lung volumes?",
    "low volumes": r"low(?:er)? (?:\w+ )?volumes?|volumes? (?:\w+ ){0,3}(?:low|small|diminished|decreased)|"
    r"(?:hypo|under) ?(?:inflat|expan|ventilat|aerat)\w*|(?:broncho ?vascular |vascular )?crowding"
    r"(?: of (?:the )?(?:\w+ ){0,3}(?:markings|vessels|vasculature))?|"
    r"(?:poor|shallow|low|decreased|diminished|reduced|limited|suboptimal) "
    r"(?:level of |degree of )?(?:inspirat\w*|inflation|lung volumes?)",
    "compression": r"(?:compression|wedg\w*)(?: \w+){0,2}? (?:fractures?|deformit\w+)|wedg(?:ing|ed)\b|"
    r"(?:loss of|decreased|diminished)(?: \w+){0,3}? height|height loss|loss of(?: \w+){0,5}? vertebra\w*|"
    r"vertebra\w*(?: \w+){0,3}? compress\w*|"
    r"compress\w*(?: \w+){0,3}? vertebra\w*",
    "fracture": r"fractur\w*|broken (?:bones?|ribs?)",
    "dislocation": r"(?:sub ?lux|disloc)\w*|separation",
    "deformity": r"deform\w*",
    "kyphosis": r"kypho(?!scolio|plast)\w*(?: (?:curv|deform)\w*)?",
    "scoliosis": rf"(?:levo|dextro)? ?(?:kypho)?scolio\w*|(?:levo|dextro)\w*|curvatures?\b|"
    rf"curv\w+(?: \w+){{0,3}}? {_SPINE}",
    "osteopenia": r"osteo ?(?:penia|penic|poros\w+|porot\w+)|deminerali[sz]\w*|"
    r"bone (?:mineralization|density) (?:\w+ ){0,2}(?:decreased|reduced|diminished|low)|"
    r"(?:decreased|reduced|diminished|low) bone (?:mineral\w*|density)",
    "degenerative": r"degenerat\w*|spondyl\w*|osteophyt\w*|spurs?\b|spurring|(?:osteo)?arthr(?:itis|itic|osis|opathy|"
    r"otic)\w*|"
    r"\bdish\b|hyperostosis|(?:disc|disk)(?: \w+){0,2}? (?:narrow\w*|loss|disease|height)|"
    r"(?:end ?plate|hypertrophic|productive)(?: \w+){0,2}? (?:chang\w+|spurr\w*|scleros\w*)|bridging|syndesmophyt\w*",
    "spinal fusion": r"\bfusion\b|laminectomy|diskectomy|discectomy",
    "bone lesion": r"(?:lytic|blastic|destructive|sclerotic|osseous|bony|bone)(?: \w+)? (?:lesions?|process\w*|"
    r"metasta\w+|"
    r"destruction|infarct\w*|islands?)|bone islands?|scleros[ie]s\b|sclerotic\b",
    "granuloma": r"granulom\w*|histoplasm\w*|sarcoid\w*",
    "calcification": r"calcif\w*",
    "tuberculosis": r"tubercul\w*|\btb\b",
    "nodule": r"(?:micro ?)?nodul\w*|coin lesions?|round(?:ed)? (?:\w+ )?(?:opacit|densit|lesion|shadow)\w*",
    "mass": r"\bmass(?:es)?\b|tumou?rs?\b|neoplas\w*|malignan\w*|metasta\w*|carcinoma\w*|cancer\w*|lymphoma\w*",
    "lesion": r"lesions?\b|abscess\w*",
    "cavity": r"cavit\w*|cyst(?:s|ic)?\b",
    "bronchiectasis": r"bronchiectas\w*",
    "bronchial thickening": r"(?:peri ?)?bronchi(?:al|tis|olitis|tic)\b(?: \w+){0,2}?(?: thicken\w*| cuffing)?|"
    r"peribronch\w*|cuffing|"
    r"(?:airway|bronchial) (?:wall )?thicken\w*|reactive airways?|viral (?:process|bronch\w+|etiology)",
    "fibrosis": r"(?:fibro|honeycomb)\w*",
    "scar": r"scar(?:s|red|ring)?\b|cicatri\w*|parenchymal bands?",
    "atelectasis": r"atelecta\w*|volume loss|loss of volume|collapse[ds]?\b",
    "interstitial": r"interstiti\w*|reticul\w*|(?:lung|pulmonary|broncho ?vascular|vascular|bibasilar|basilar|"
    r"increased|"
    r"prominent|coarse\w*|chronic)(?: \w+){0,2}? markings|markings|bronchovascular",
    "pneumonia": r"(?:broncho)?pneumoni(?:a|as|c|tis)\b|infecti\w+|aspirat\w+|covid\w*",
    "infiltrate": r"infiltrat\w*",
    "consolidation": r"consolidat\w*|air bronchograms?",
    "airspace": r"air ?space(?: \w+)? ?(?:disease|opacit\w+|opacif\w+|process\w*|change\w*|shadowing|densit\w*)?|"
    r"alveol\w+|(?:pulmonary|lung) (?:contusion|hemorrhage|haemorrhage|infarct\w*)s?",
    "opacity": r"opacit\w*|opacif\w*|ground glass\b(?! opaci)|densit(?:y|ies)\b|haz(?:e|y|iness)\b|shadow(?:s|"
    r"ing)\b|white ?out|silhouetting",
    "lucency": r"lucen\w*",
    "pacemaker": r"implantable (?:\w+ )?(?:cardioverter\w*|defibrillator)(?: defibrillator)?|pace ?makers?|"
    r"pacers?\b|\ba?icd\b|defibrillat\w*|(?:pulse )?generators?\b|pacing|\bleads?\b|"
    r"loop recorder|"
    r"stimulators?|battery|electrodes?|cardiac device|\blvad\b|impella|"
    r"ventricular assist",
    "valve": r"valv\w+|\btavr\b",
    "tube": r"\btubes?\b|intubat\w*|\b[no]gt\b|dobb?hoff|\bett\b|tracheost\w*|\bstents?\b|\bdrains?\b|\bchest tip\b|"
    r"shunt\w*",
    "line": r"catheters?|\bpicc\b|\bports?\b|port ?a ?cath\w*|medi ?port\w*|central (?:venous )?lines?|"
    r"(?<!suture )(?<!clavicular )(?<!axillary )\blines?\b|"
    r"\bcvc\b|\bu[av]c\b|swan ganz|hickman|balloon pump|\biabp\b|infus\w+|"
    r"\btips?\b",
    "sternal wires": r"stern(?:otomy|al)\b(?: \w+)?|cerclage|\bwires?\b|\bcabg\b|bypass|median sternotomy",
    "surgical": r"\bclips?\b|staples?\b|sutur\w*|surg\w+|post ?op\w*|post ?surgical|\w+ectomy\b|resect\w*|\w+plasty\b",
    "hardware": r"hardware|apparatus|\brods?\b|\bscrews?\b|\bplates?\b(?! like)|prosthe\w*|implant\w*|"
    r"foreign bod\w+|metal\w*|bullet\w*|"
    r"shrapnel|\bbbs?\b|harrington|fixation|anchors?\b|devices?\b|embolization|coils?\b|needle",
    "gallstones": r"gall ?stones?|cholelith\w*",
    "fat pad": r"fat pad\w*|epicardial fat|lipomat\w*",
    "cardiac silhouette obscured": r"obscur\w*",
    "dilated bowel": r"(?:dilat|disten)\w*(?: \w+){0,3}? (?:bowel|stomach|colon|loops)|ileus|bowel obstruction|"
    r"(?:bowel|gastric|stomach|colon\w*|loops)(?: \w+){0,3}? (?:dilat|disten)\w*",
    "pectus": r"pectus|funnel chest",
    "rib anomaly": r"cervical ribs?|bifid",
    "nipple shadow": r"nipples?(?: shadows?)?",
    "thickening": r"thicken\w*",
    "swelling": r"swell\w*|swollen|hematomas?|haematomas?",
}
TERMS = {kind: re.compile(rf"\b(?:{words})") for kind, words in _PATTERNS.items()}

# A rewrite may say the right in place of the left, which is more general.
PARENTS: dict[str, frozenset[str]] = {
    "consolidation": frozenset({"airspace", "opacity", "infiltrate"}),
    "pneumonia": frozenset({"airspace", "opacity", "infiltrate"}),
    "infiltrate": frozenset({"airspace", "opacity"}),
    "airspace": frozenset({"opacity", "consolidation", "infiltrate"}),
    "atelectasis": frozenset({"opacity"}),
    "scar": frozenset({"opacity", "fibrosis"}),
    "fibrosis": frozenset({"scar", "interstitial"}),
    "nodule": frozenset({"lesion", "opacity"}),
    "mass": frozenset({"lesion", "nodule", "opacity"}),
    "granuloma": frozenset({"calcification", "nodule"}),
    "lymphadenopathy": frozenset({"calcification"}),
    "compression": frozenset({"deformity", "fracture"}),
    "aortic calcification": frozenset({"calcification"}),
    "edema": frozenset({"interstitial", "vascular congestion"}),
    "pacemaker": frozenset({"hardware", "line"}),
    "valve": frozenset({"hardware", "surgical"}),
    "sternal wires": frozenset({"surgical", "hardware"}),
    "spinal fusion": frozenset({"hardware", "surgical"}),
    "line": frozenset({"tube", "hardware"}),
    "tube": frozenset({"line", "hardware"}),
    "surgical": frozenset({"hardware"}),
    "pleural thickening": frozenset({"thickening"}),
    "bronchial thickening": frozenset({"thickening"}),
    "scoliosis": frozenset({"kyphosis"}),
    "emphysema": frozenset({"hyperinflation"}),
    "flat diaphragm": frozenset({"hyperinflation"}),
}

CHEXPERT: dict[str, str] = {
    "cardiomegaly": "Cardiomegaly",
    "wide mediastinum": "Enlarged Cardiomediastinum",
    "edema": "Edema",
    "vascular congestion": "Edema",
    "consolidation": "Consolidation",
    "airspace": "Lung Opacity",
    "infiltrate": "Lung Opacity",
    "opacity": "Lung Opacity",
    "interstitial": "Lung Opacity",
    "pneumonia": "Pneumonia",
    "atelectasis": "Atelectasis",
    "pneumothorax": "Pneumothorax",
    "effusion": "Pleural Effusion",
    "pleural thickening": "Pleural Other",
    "fracture": "Fracture",
    "compression": "Fracture",
    "nodule": "Lung Lesion",
    "mass": "Lung Lesion",
    "lesion": "Lung Lesion",
    "granuloma": "Lung Lesion",
    "cavity": "Lung Lesion",
    **dict.fromkeys(("pacemaker", "valve", "tube", "line", "sternal wires", "hardware"), "Support Devices"),
}


def find_observations(sentence: str) -> list[tuple[int, int, str]]:
    """(start, end, kind) of everything observed in a plain sentence, in order, no two sharing a letter.

    "Calcified granuloma" is two observations, "calcified aorta" one: where two kinds would overlap, the earlier entry
    of the table wins.
    """
    return list(_found(sentence))


@lru_cache(maxsize=8192)
def _found(sentence: str) -> tuple[tuple[int, int, str], ...]:
    """The same, once for a sentence: reports repeat theirs, and a scope of negation asks again."""
    found: list[tuple[int, int, str]] = []
    for kind, pattern in TERMS.items():
        for match in pattern.finditer(sentence):
            if match.end() > match.start() and not any(match.start() < e and s < match.end() for s, e, _ in found):
                found.append((match.start(), match.end(), kind))
    return tuple(sorted(found))
