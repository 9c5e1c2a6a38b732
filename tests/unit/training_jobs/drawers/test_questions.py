"""The follow-up answers say exactly what is true."""

import numpy as np
import pytest

from training_jobs.drawers.questions import answer, draw_question


@pytest.mark.parametrize(
    ("topic", "labels", "said"),
    [
        ("effusion", {"effusion_left", "effusion_right"}, "Yes, there is pleural effusion on the left and the right."),
        ("effusion", {"pneumothorax_left"}, "No, there is no pleural effusion."),
        (
            "consolidation",
            {"consolidation_left_lower"},
            "Yes, there is consolidation in the left lower zone.",
        ),
        ("cardiomegaly", set(), "The heart size is normal."),
        ("nodule", {"nodule"}, "Yes, there is a pulmonary nodule."),
        ("device", set(), "No, there is no device."),
    ],
)
def test_an_answer_says_what_is_there(topic: str, labels: set[str], said: str) -> None:
    assert answer(topic, labels) == said


def test_questions_cover_view_and_findings() -> None:
    rng = np.random.default_rng(0)
    asked = [draw_question({"nodule"}, "AP", rng) for _ in range(200)]
    assert ("Which view is this?", "This is an AP view.") in asked
    assert len({question for question, _ in asked}) > 15
    assert all(question.endswith("?") and said.endswith(".") for question, said in asked)
