"""Which part of the body a header names, in the words technologists of several countries type into it."""

import re
import unicodedata
from enum import Enum

# Whole words without accents, in English, German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Polish and
# Russian. Words that mean something else beside a chest film are left out: "pie" (Spanish: foot, "de pie": standing),
# "face" (French: frontal), "long" (Dutch: lung), "PE" (Portuguese: foot; embolism), "bone" (as in suppressed).
_CHEST_WORDS = """
chest thorax thorac thx cxr lung lungs toraks torax torace lunge lungen poumon poumons pulmon pulmones pulmao
polmone polmoni longen lungor pluca pluc klatka klatki klp грудь грудная грудной огк легкие легких
"""
_HEAD_AND_SPINE_WORDS = """
head skull cranium neck schadel kopf crane craneo cabeza tete cranio testa schedel hoofd facial sinus sinuses
nasal mandible maxilla orbit orbits jaw tmj dental zahn zahne dentes teeth panorama opg cervical hals cuello
collo czaszka череп spine cspine tspine lspine lumbar lumbosacral sacrum coccyx wirbelsaule lws bws hws rachis
lombaire columna coluna lombar colonna rachide wervelkolom kregoslup vertebra vertebral позвоночник scoliosis
skoliose
"""
_ARM_WORDS = """
shoulder clavicle scapula schulter epaule hombro ombro spalla schouder clavicula klavikula humerus elbow forearm
arm wrist hand hands finger fingers thumb unterarm oberarm ellbogen handgelenk hande coude poignet doigt pouce
codo antebrazo muneca mano dedo cotovelo punho mao gomito polso dito vinger pols elleboog armbage reka
nadgarstek кисть плечо
"""
_LEG_WORDS = """
pelvis pelvic hip hips becken hufte huftgelenk bassin hanche cadera quadril bacia bacino anca bekken heup hoft
miednica biodro таз femur thigh knee knees patella leg legs tibia fibula ankle foot feet toe toes heel calcaneus
knie unterschenkel oberschenkel sprunggelenk fuss fusse genou cheville pied jambe cuisse rodilla tobillo pierna
joelho tornozelo perna ginocchio caviglia piede gamba enkel voet kna fot kolano stopa колено стопа extremity
extremities extremitat extremidad
"""
_BELLY_WORDS = """
abdomen abdominal kub bauch ventre buik addome buk brzuch живот breast mamma mammography bladder colon stomach
kidney esophagus skeleton wholebody
"""
_CHEST = frozenset(_CHEST_WORDS.split())
_OTHER = frozenset((_HEAD_AND_SPINE_WORDS + _ARM_WORDS + _LEG_WORDS + _BELLY_WORDS).split())
_CHEST_SIGNS = ("胸", "肺", "흉부")
_OTHER_SIGNS = ("腹", "膝", "骨盆", "骨盤", "腰椎", "颈椎", "頸椎", "头", "頭", "肩", "足", "복부", "무릎")
_LETTERS = str.maketrans({"ß": "ss", "ł": "l", "ø": "o", "æ": "ae"})  # the ones that Unicode does not take apart
_NOT_SAID = frozenset({"", "unknown", "other", "none", "undefined", "unspecified", "default", "na", "null"})
# Body Part Examined is written without blanks: compounds of PS3.16 annex L, and views glued on.
_CHEST_PREFIXES = ("chest", "thorax", "torax", "lung", "neckchest", "portablechest")


class Part(Enum):
    """What a text says about the body part."""

    CHEST = "chest"
    OTHER = "other"
    NOT_SAID = "not said"


def described_part(text: str) -> Part:
    """What a free text names. A text that names the chest beside another part counts as the chest."""
    words = set(_words(text.casefold().replace("c-arm", "")))  # the machine, not the limb
    if words & _CHEST or any(sign in text for sign in _CHEST_SIGNS):
        return Part.CHEST
    if words & _OTHER or any(sign in text for sign in _OTHER_SIGNS):
        return Part.OTHER
    return Part.NOT_SAID


def stated_part(body_part: str) -> Part:
    """What Body Part Examined (0018,0015) states. Whatever is stated and is not the chest is another part."""
    compact = "".join(_words(body_part))
    if compact in _NOT_SAID:
        return Part.NOT_SAID
    if compact.startswith(_CHEST_PREFIXES) or described_part(body_part) is Part.CHEST:
        return Part.CHEST
    return Part.OTHER


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return re.findall(r"[^\W\d_]+", "".join(letter for letter in plain if not unicodedata.combining(letter)))
