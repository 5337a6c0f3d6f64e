"""The measure on landscapes: the true target is right, near misses are not, and degrees are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_run import SmallRun

from relation_core.scenes.painting import paint
from relation_core.scenes.relation import Step, relation_of
from relation_core.scenes.splits import SPLITS, Split
from relation_tools.training.landscape_questions import (
    LandscapeQuestion,
    candidates,
    degrees_off,
    draw_questions,
)
from relation_tools.training.trainer import Trainer
from tests.command_line import run


def pixels(picture: object) -> np.ndarray:
    return np.asarray(picture, np.float32) / 255


@pytest.mark.parametrize("split", SPLITS)
def test_the_true_target_is_right_and_others_are_not(split: Split) -> None:
    for question in draw_questions(split, 3, 5):
        possible = candidates(question)
        assert len(possible.others) >= 40
        assert possible.is_right(possible.target)
        noisy = possible.target + 0.02 * np.random.default_rng(0).normal(size=possible.target.shape)
        assert possible.is_right(noisy.astype(np.float32))
        assert not possible.is_right(pixels(paint(question.source)))
        assert not any(possible.is_right(other) for other in possible.others)
        wrong = question.wrong.apply(question.source)
        assert not possible.is_right(pixels(wrong))


def test_questions_are_the_same_each_time_and_of_their_own_landscapes() -> None:
    questions = draw_questions("trained", 20, 5)
    assert questions == draw_questions("trained", 20, 5) != draw_questions("trained", 20, 6)
    shown = [scene.seed for question in questions for scene in (question.exemplar, question.source)]
    assert len(set(shown)) == 40
    for question in questions:
        assert not set(question.wrong.families) & set(question.relation.families)


@pytest.mark.parametrize(("name", "value"), [("houses", 20.0), ("sky", 140.0), ("hues", 260.0)])
def test_degrees_are_found(name: str, value: float) -> None:
    template = draw_questions("trained", 1, 5)[0]
    asked = relation_of(Step(name, value), Step("snow"))
    question = LandscapeQuestion(asked, template.wrong, template.exemplar, template.source, 5)
    for off in (0, 34, -90):
        made = relation_of(Step(name, (value + off) % 360), Step("snow")).apply(question.source)
        found = degrees_off(question, pixels(made))
        assert found is not None and abs(found - abs(off)) <= 2
    plain = LandscapeQuestion(relation_of(Step("snow")), template.wrong, template.exemplar, template.source, 5)
    assert degrees_off(plain, pixels(paint(template.source))) is None


def test_measure_tells_the_accuracy_by_split(small_run: SmallRun, tmp_path: Path) -> None:
    trainer = Trainer(small_run.into(tmp_path / "run", steps=2))
    trainer.run()
    exported, models = tmp_path / "run" / "exported", trainer.settings.models
    files = ("--model", exported / "transformer.safetensors", "--vae", models.vae, "--vision", models.vision)
    files += ("--adapter", exported / "relation_adapter.safetensors")
    said = run("measure", "--landscapes", 1, *files, "--steps", 1, "-o", tmp_path / "f.json")
    figures = json.loads((tmp_path / "f.json").read_text())
    assert list(figures) == list(SPLITS)
    for split in SPLITS:
        assert {"own", "wrong", "blank", "none"} == figures[split]["right"].keys()
        assert sum(asked for _, asked in figures[split]["families"].values()) == 1
    assert figures["ranges"]["degrees"] is not None and figures["families"]["degrees"] is None
    assert "with its exemplars" in said and "degrees off, median" in said
    assert "Expected a FILE and --cache, or --landscapes" in run("measure", *files, status=1)
