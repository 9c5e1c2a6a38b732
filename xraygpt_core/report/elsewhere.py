"""Body parts that are not on a chest film, in a clause that asks for nothing else.

Every word of the clause has to be known: a part, what may be the matter with it, or a word that only asks. A word more
(a tube, a rib, pain, "visible", "after") makes it another question. What a chest film does show in part, or may show
inside the chest, is no part here: shoulder, arm, neck, jaw, spine, upper abdomen, a tooth.
"""

import re

from xraygpt_core.report.phrases import any_of

# Each with its name in the answer; without one, the words of the question. The first may lie over the film.
_PARTS = (
    ("hand(s), wrist(s), finger(s), thumb(s), elbow(s), forearm(s)", ""),
    ("brain metastas*, brain edema, brain oedema, brain aneurysm(s), ventricles of the brain", "brain"),
    ("intracranial, cerebral, subdural(s), hydrocephalus, stroke(s)", "brain"),
    ("knee cap(s), kneecap(s), patella(s), patellar, meniscus, menisci, meniscal, acl, cruciate ligament(s)", "knee"),
    ("knee(s), ankle(s), foot, feet, toe(s), heel(s), calf, calves, thigh(s), shin(s), leg(s), hip(s)", ""),
    ("metatars*, calcane*", "foot"),
    ("achilles", "heel"),
    ("femoral neck, femoral head, femoral shaft, femoral condyle(s), femoral(?= fracture)", "femur"),
    ("(?:neck|head|shaft) of the (?:left |right )?femur", "femur"),
    ("femur(s), tibia(s), fibula(s), pelvis, sacrum, coccyx, brain, skull, eye(s), nose", ""),
    ("tibial", "tibia"),
    ("pelvic, pubic, sacroiliac", "pelvis"),
    ("sacral", "sacrum"),
    ("scaphoid(s), distal radius, carpal(s)", "wrist"),
    ("nasal bone(s)", "nose"),
    ("orbit(s), orbital", "eyes"),
    ("sinusitis, (?:maxillary|frontal|paranasal|ethmoid|sphenoid) sinus(?:es)?", "paranasal sinuses"),
    ("prostate, uterus, ovary, ovaries, urinary bladder, bladder, appendix", ""),
    ("ovarian", "ovaries"),
    ("pregnant, pregnancy", "uterus"),
    ("appendicitis", "appendix"),
)
_ASKS = any_of("""
    is, are, was, were, isn't, aren't, wasn't, has, have, had, does, do, did, can, could, might, may, be, there, this,
    it, i, he, she, patient, patient's, his, her, their, my, you, we, see, any, no, not, a, an, the, so, and, or, of,
    in, on, at, for, to, with, both, left, right, big, index, ring, what, how, about, tell, me, show(s), look(s), like,
    seem(s), appear(s), describe, assess, evaluate, check, examine, comment, doing, rule out, exclude, sign(s) of,
    evidence of, features of, suspicion of
""")
_MATTERS = any_of("""
    fractur*, fx, brok*, break, crack*, dislocat*, sublux*, sprain*, injur*, torn, tear(s), ruptur*, intact, ok, okay,
    fine, normal, abnormal, abnormalit*, healthy, swollen, swelling, arthr*, osteoarthr*, osteomyelitis, gout,
    dysplas*, degenerat*, inflam*, infect*, enlarge*, full, clear, narrow*, heal, healed, bleed*, haemorrhag*,
    hemorrhag*, haematoma(s), hematoma(s), tumor(s), tumour(s), cyst(s), stone(s), thicken*, wall, atrophy, necrosis,
    avascular, spur(s), stress, acute, displaced, undisplaced, deform*, joint(s), bone(s), space, ligament(s),
    tendon(s), plateau, ramus, rami, distal, proximal, changes, wrong, anything, hurt, damage*, replacement,
    prosthesis, loose, flat, ectopic, calcif*, bunion, valgus, (?<=knee )effusion(s), (?<=hip )effusion(s),
    (?<=ankle )effusion(s), (?<=elbow )effusion(s), (?<=joint )effusion(s)
""")
_NAMED = "|".join(f"(?P<part{at}>{any_of(words)})" for at, (words, _) in enumerate(_PARTS))
_WORD = re.compile(rf"(?:{_NAMED}|(?P<matter>{_MATTERS})|{_ASKS})(?: |$)")
_SIDE = re.compile(r"\bon the (?:left|right) hand\b")
_IS_IT_SEEN = re.compile(r"\b(?:see|there)\b")


def parts_not_shown(clause: str) -> list[str]:
    """Their names, in the order of the clause; none, if it may be about something else.

    Args:
        clause: lower case, its words one space apart.
    """
    found, at = [], 0
    while at < len(clause):
        word = _WORD.match(clause, at)
        if word is None:
            return []
        found.append((word.lastgroup, word[0].strip()))
        at = word.end()
    kinds = {kind for kind, _ in found}
    may_be_seen = "part0" in kinds and "matter" not in kinds and _IS_IT_SEEN.search(clause)
    if may_be_seen or _SIDE.search(clause):
        return []
    parts = ((int(kind.removeprefix("part")), words) for kind, words in found if kind and kind != "matter")
    return list(dict.fromkeys(_PARTS[at][1] or words for at, words in parts))
