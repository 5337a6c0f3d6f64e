"""The pictures to try a model with."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from relation_core.errors import DatasetError
from relation_core.scenes.examples import draw_example, draw_pair
from relation_core.scenes.landscape import MAX_SCENE, SIDE, quiet_landscape
from relation_core.scenes.named_edits import EDITS, UNSEEN, edit_named
from relation_core.scenes.painting import paint
from relation_core.scenes.relation import PaintedEdit
from relation_core.scenes.splits import compositions

COLOURS = ("red", "yellow", "green", "blue", "magenta", "cyan")
GONE = (
    *("background_blue", "shape_star", "shape_cross", "outline", "grow"),
    *("posterise", "dim_lower_half", "swap_red_blue"),
)
KEPT = (
    *(f"recolour_{colour}" for colour in COLOURS),
    *(f"background_{colour}" for colour in COLOURS if colour != "blue"),
    *("remove", "add_frame", "mirror", "flip", "rotate", "invert", "blur", "darken", "sepia", "grey", "pixelate"),
)
"""The other edits of 0.1.0."""


@pytest.mark.parametrize("name", EDITS)
def test_the_target_is_the_source_with_the_same_edit(name: str) -> None:
    shown, swapped = draw_example(name, 3, 8), draw_example(name, 8, 3)
    assert all(picture.size == (SIDE, SIDE) and picture.mode == "RGB" for picture in shown)
    assert [picture.tobytes() for picture in shown] == [swapped[index].tobytes() for index in (2, 3, 0, 1)]
    assert shown[2].tobytes() != shown[3].tobytes()


def was_trained(relation: PaintedEdit) -> bool:
    values = any(step.family.parameter.is_held_out(step.value) for step in relation.steps)
    families = any(step.family.held_out for step in relation.steps)
    return not (values or families or relation.families in compositions()[1])


def test_names_tell_what_the_model_was_not_trained_on() -> None:
    assert [name for name, relation in EDITS.items() if name.endswith(UNSEEN) == was_trained(relation)] == []
    assert len(EDITS) == len({relation.name for relation in EDITS.values()})


def test_every_number_is_a_scene_of_its_own() -> None:
    """For a boat too, which needs a lake."""
    for name in ("fog", "boat_unseen"):
        sources = {draw_pair(name, number)[0].tobytes() for number in (*range(8), 1000, MAX_SCENE)}
        assert len(sources) == 10
    assert draw_pair("fog", MAX_SCENE + 1)[0].tobytes() == draw_pair("fog", 0)[0].tobytes()


def test_they_are_not_the_scenes_that_are_trained_on() -> None:
    """Those of seed 0, of which the commands draw without being told another."""

    def small(picture: Image.Image) -> np.ndarray:
        return np.asarray(picture.reduce(8), np.int16)

    trained = np.array([small(paint(quiet_landscape(0, index))) for index in range(40)])
    for number in range(10):
        assert np.abs(trained - small(draw_pair("fog", number)[0])).mean(axis=(1, 2, 3)).min() > 1


def test_an_unknown_relation_is_refused_with_those_there_are() -> None:
    with pytest.raises(DatasetError, match=r"no relation 'houses_pink'.*houses_red.*boat"):
        draw_example("houses_pink", 0, 1)


def test_names_of_the_first_version_are_taken_or_refused() -> None:
    assert len(KEPT) + len(GONE) == 30
    assert [edit_named(name).families for name in ("recolour_blue", "remove", "rotate", "darken")] == [
        ("houses",), ("remove_houses",), ("turn",), ("time",)
    ]  # fmt: skip
    for name in KEPT:
        before, after = draw_pair(name, 1)
        assert before.tobytes() != after.tobytes()
    for name in GONE:
        with pytest.raises(DatasetError, match=rf"'{name}' was one of 0\.1\.0's drawn scenes.*one of: houses_red"):
            edit_named(name)
