"""Follow-up questions with known answers, so that the model can also be asked about one finding."""

from collections.abc import Set

import numpy as np

from xraygpt_core.phantoms.findings import View

_KINDS = {
    "cardiomegaly": ("Is the heart enlarged?", "Is there cardiomegaly?", "Is the heart size normal?"),
    "effusion": ("Is there a pleural effusion?", "Do you see pleural fluid?", "Is there an effusion?"),
    "pneumothorax": ("Is there a pneumothorax?", "Do you see a pneumothorax?", "Any pneumothorax?"),
    "consolidation": ("Is there consolidation?", "Is there an airspace opacity?", "Is there pneumonia?"),
    "nodule": ("Is there a nodule?", "Do you see a lung nodule?", "Is there a pulmonary nodule?"),
    "device": ("Is there a device?", "Are there any lines or tubes?", "Is a support device in place?"),
}
FINDINGS_ONLY = "What are the findings?"
_VIEW = ("Which view is this?", "Is this an AP or a PA film?", "What is the projection?")


def draw_question(labels: Set[str], view: View, rng: np.random.Generator) -> tuple[str, str]:
    """A question about the film and its answer."""
    topics = [*_KINDS, "view"]
    topic = topics[int(rng.integers(len(topics)))]
    wordings = _VIEW if topic == "view" else _KINDS[topic]
    question = wordings[int(rng.integers(len(wordings)))]
    if topic == "view":
        return question, f"This is {'an AP' if view == 'AP' else 'a PA'} view."
    return question, answer(topic, labels)


def answer(topic: str, labels: Set[str]) -> str:
    """One sentence; places are named where the finding has them."""
    match topic:
        case "cardiomegaly":
            return "The heart is enlarged." if topic in labels else "The heart size is normal."
        case "nodule":
            return "Yes, there is a pulmonary nodule." if topic in labels else "No, there is no nodule."
        case "device":
            return "Yes, a support device is in place." if topic in labels else "No, there is no device."
        case _:
            places = [
                label.removeprefix(f"{topic}_").replace("_", " ")
                for label in sorted(labels)
                if label.startswith(f"{topic}_")
            ]
            noun = {"effusion": "pleural effusion"}.get(topic, topic)
            if not places:
                kind = "opacity" if topic == "consolidation" else topic
                unplaced = "lung opacity" if topic == "consolidation" else noun
                return f"Yes, there is a {unplaced}." if kind in labels else f"No, there is no {noun}."
            where = " and ".join(f"the {place}{' zone' if topic == 'consolidation' else ''}" for place in places)
            return f"Yes, there is {noun} {'in' if topic == 'consolidation' else 'on'} {where}."
