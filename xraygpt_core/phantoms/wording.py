"""The report of a phantom: the findings of its truth in the words radiologists use, 25–60 words in two sections."""

from collections.abc import Sequence

import numpy as np

from xraygpt_core.phantoms.findings import SIDES, PhantomReport, View

SHORTEST, LONGEST = 25, 58  # words; negatives are added only while there is room

HEART = (
    "The heart is enlarged.",
    "The cardiac silhouette is enlarged.",
    "There is cardiomegaly.",
    "Cardiomegaly is present.",
    "Enlarged heart.",
)
HEART_NORMAL = (
    "The heart size is normal.",
    "Normal heart size.",
    "The cardiac silhouette is normal in size.",
    "No cardiomegaly.",
    "The heart is not enlarged.",
)
EFFUSION = (
    "There is a {side} pleural effusion.",
    "{Side} pleural effusion.",
    "A {side} pleural effusion is present.",
    "Pleural fluid is seen on the {side}.",
    "The {side} costophrenic angle is blunted by pleural fluid.",
)
EFFUSION_BOTH = (
    "Bilateral pleural effusions.",
    "There are bilateral pleural effusions.",
    "Pleural effusions are present on both sides.",
    "Left and right pleural effusions are seen.",
)
EFFUSION_NONE = (
    "No pleural effusion.",
    "There is no pleural effusion.",
    "The costophrenic angles are sharp.",
    "No pleural fluid.",
)
PNEUMOTHORAX = (
    "There is a {side} pneumothorax.",
    "{Side} pneumothorax.",
    "A {side} pneumothorax is present.",
    "A pleural line is seen on the {side}, consistent with pneumothorax.",
    "{Side}-sided pneumothorax with partial collapse of the lung.",
)
PNEUMOTHORAX_BOTH = (
    "Bilateral pneumothoraces.",
    "There are bilateral pneumothoraces.",
    "Pneumothorax is present on both sides.",
    "Left and right pneumothoraces are seen.",
)
PNEUMOTHORAX_NONE = (
    "No pneumothorax.",
    "There is no pneumothorax.",
    "No evidence of pneumothorax.",
    "Negative for pneumothorax.",
)
CONSOLIDATION = (
    "Consolidation in the {place}.",
    "There is consolidation in the {place}.",
    "Airspace opacity in the {place}.",
    "The {place} shows consolidation.",
    "{Place} consolidation.",
)
CONSOLIDATION_NONE = (
    "No consolidation.",
    "There is no focal consolidation.",
    "No airspace opacity.",
    "The lungs are free of consolidation.",
)
NODULE = (
    "There is a pulmonary nodule.",
    "A pulmonary nodule is present.",
    "A round lung nodule is seen.",
    "Pulmonary nodule.",
    "There is a nodular opacity in the lung.",
)
NODULE_NONE = ("No pulmonary nodule.", "There is no lung nodule.", "No nodule is seen.", "No suspicious nodule.")
DEVICE = (
    "A {name} is in place.",
    "There is a {name}.",
    "A {name} is present.",
    "A {name} is seen.",
)
DEVICE_PLURAL = ("{Name} are in place.", "There are {name}.", "{Name} are present.", "{Name} are seen.")
DEVICE_NONE = ("No device.", "No support devices.", "There are no lines or tubes.", "No implanted device.")
DEVICE_NAMES = {
    "pacemaker": ("pacemaker", "cardiac pacemaker", "pacemaker with its lead"),
    "port": ("port catheter", "chest port"),
    "central line": ("central line", "central venous catheter"),
    "ECG leads": ("ECG leads",),
    "endotracheal tube": ("tracheal tube",),
    "nasogastric tube": ("nasogastric tube", "feeding tube"),
    "sternal wires": ("sternal wires",),
    "chest drain": ("chest tube", "chest drain"),
}
NORMAL = (
    "The lungs are clear.",
    "Both lungs are clear.",
    "The lungs are clear and well aerated.",
    "Clear lungs.",
)
NORMAL_IMPRESSION = (
    "Normal chest radiograph.",
    "No acute cardiopulmonary abnormality.",
    "No acute findings.",
    "Normal study.",
)
FILLERS = (
    "The mediastinal contours are unremarkable.",
    "No acute bony abnormality.",
    "The visualised bones are intact.",
    "The trachea is midline.",
)


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _place(rng: np.random.Generator, side: str, zone: str) -> str:
    """A zone in words. The left lung's lingula and the right middle lobe are not named: a zone is what is known."""
    return _pick(rng, (f"{side} {zone} zone", f"{side} {zone} lobe", f"{side} {zone} lung zone"))


def _places(rng: np.random.Generator, zones: set[tuple[str, str]]) -> list[str]:
    """The places of all consolidations: joined where the language joins them, else one by one."""
    if len(zones) > 1 and rng.random() < 0.75:
        word = _pick(rng, ("zone", "lobe"))
        for zone in ("upper", "lower"):
            if zones == {("left", zone), ("right", zone)}:
                return [_pick(rng, (f"left and right {zone} {word}s", f"{zone} {word}s of both lungs"))]
        for side in SIDES:
            if zones == {(side, "upper"), (side, "lower")}:
                return [f"{side} upper and lower {word}s"]
        if len(zones) == 2:
            (a, b), (c, d) = sorted(zones, key=lambda _: rng.random())
            return [f"{a} {b} and {c} {d} {word}s"]
    return [_place(rng, side, zone) for side, zone in sorted(zones, key=lambda _: rng.random())]


def _sided(
    rng: np.random.Generator, labels: frozenset[str], kind: str, one: Sequence[str], both: Sequence[str]
) -> list[str]:
    sides = [side for side in SIDES if f"{kind}_{side}" in labels]
    if len(sides) == 2 and rng.random() < 0.7:
        return [_pick(rng, both)]
    return [_pick(rng, one).format(side=side, Side=_capital(side)) for side in sides]


def _zones(labels: frozenset[str]) -> set[tuple[str, str]]:
    return {(s, z) for s in SIDES for z in ("upper", "lower") if f"consolidation_{s}_{z}" in labels}


def _device_sentences(rng: np.random.Generator, devices: Sequence[str]) -> list[str]:
    sentences = []
    for device in devices:
        name = _pick(rng, DEVICE_NAMES[device])
        forms = DEVICE_PLURAL if name.endswith(("leads", "wires")) else DEVICE
        sentences.append(_pick(rng, forms).format(name=name, Name=_capital(name)))
    return sentences


def _positive(rng: np.random.Generator, labels: frozenset[str], devices: Sequence[str]) -> list[list[str]]:
    """Sentences for what is there, in groups: devices, heart, pleura, lungs."""
    lungs = [_pick(rng, CONSOLIDATION).format(place=p, Place=_capital(p)) for p in _places(rng, _zones(labels))]
    lungs = [line.replace("zones shows", "zones show").replace("lobes shows", "lobes show") for line in lungs]
    lungs = [line.replace("lungs shows", "lungs show") for line in lungs]
    if "nodule" in labels:
        lungs.append(_pick(rng, NODULE))
    pleura = _sided(rng, labels, "effusion", EFFUSION, EFFUSION_BOTH)
    pleura += _sided(rng, labels, "pneumothorax", PNEUMOTHORAX, PNEUMOTHORAX_BOTH)
    heart = [_pick(rng, HEART)] if "cardiomegaly" in labels else []
    return [_device_sentences(rng, devices), heart, pleura, lungs]


def _negative(rng: np.random.Generator, labels: frozenset[str]) -> list[str]:
    """Sentences for what is not there, in random order."""
    absent = []
    if "cardiomegaly" not in labels:
        absent.append(_pick(rng, HEART_NORMAL))
    if not any(label.startswith("effusion") for label in labels):
        absent.append(_pick(rng, EFFUSION_NONE))
    if not any(label.startswith("pneumothorax") for label in labels):
        absent.append(_pick(rng, PNEUMOTHORAX_NONE))
    if not _zones(labels):
        absent.append(_pick(rng, CONSOLIDATION_NONE))
    if "nodule" not in labels:
        absent.append(_pick(rng, NODULE_NONE))
    if "device" not in labels:
        absent.append(_pick(rng, DEVICE_NONE))
    if {"No pleural effusion.", "No pneumothorax."} <= set(absent):
        absent = [a for a in absent if a not in ("No pleural effusion.", "No pneumothorax.")]
        absent.append("No pleural effusion or pneumothorax.")
    rng.shuffle(absent)
    return absent


def _impression_items(rng: np.random.Generator, labels: frozenset[str], devices: Sequence[str]) -> list[str]:
    """Noun phrases, the most urgent first."""
    items = []
    for kind, plural in (("pneumothorax", "pneumothoraces"), ("effusion", "pleural effusions")):
        sides = [side for side in SIDES if f"{kind}_{side}" in labels]
        noun = "pleural effusion" if kind == "effusion" else kind
        items += [f"bilateral {plural}"] if len(sides) == 2 else [f"{side} {noun}" for side in sides]
    items += [f"{place} consolidation" for place in (_places(rng, _zones(labels)))]
    items = [item.replace("zones consolidation", "zone consolidation") for item in items]
    items = [item.replace("lobes consolidation", "lobe consolidation") for item in items]
    items = [
        _pick(rng, ("consolidation in the ", "opacity in the ")) + i[:-14] if " of both " in i else i for i in items
    ]
    if "cardiomegaly" in labels:
        items.append(_pick(rng, ("cardiomegaly", "enlarged heart")))
    if "nodule" in labels:
        items.append(_pick(rng, ("pulmonary nodule", "lung nodule")))
    items += [_pick(rng, DEVICE_NAMES[device]) for device in devices]
    return items


def _impression(rng: np.random.Generator, labels: frozenset[str], devices: Sequence[str]) -> str:
    items = _impression_items(rng, labels, devices)
    if not items:
        return _pick(rng, NORMAL_IMPRESSION)
    if len(items) > 4:
        items = items[:3] + ([] if rng.random() < 0.5 else ["further findings as above"])
    elif rng.random() < 0.3:
        return " ".join(f"{_capital(item)}." for item in items)
    listed = items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
    return f"{_capital(listed)}."


def write_report(rng: np.random.Generator, labels: frozenset[str], view: View, devices: Sequence[str]) -> PhantomReport:
    """Findings and impression for the labels; ``devices`` names what stands behind the label "device"."""
    groups = _positive(rng, labels, devices)
    if rng.random() < 0.4:
        order = rng.permutation(len(groups))
        groups = [groups[int(i)] for i in order]
    sentences = [sentence for group in groups for sentence in group]
    if not labels:
        sentences.append(_pick(rng, NORMAL))
    impression = _impression(rng, labels, devices)
    room = LONGEST - len(" ".join([*sentences, impression]).split()) - 5
    wanted = int(rng.integers(1, 6))
    for position, sentence in enumerate([*_negative(rng, labels), _pick(rng, FILLERS)]):
        words = len(sentence.split())
        if (position < wanted or LONGEST - room < SHORTEST) and words < room:
            sentences.append(sentence)
            room -= words
    return PhantomReport(findings=" ".join([f"{view} chest radiograph.", *sentences]), impression=impression)
