"""The pictures to try a model with."""

from __future__ import annotations

import numpy as np
import pytest

from relation_core.errors import DatasetError
from relation_tools.drawn_scenes.drawing import draw
from relation_tools.drawn_scenes.examples import MAX_SCENE, draw_pair
from relation_tools.drawn_scenes.relations import ALL
from relation_tools.drawn_scenes.scene import SIDE, quiet_scene
from relation_tools.drawn_scenes.unseen import UNSEEN


def test_the_target_is_the_source_with_the_same_edit() -> None:
    for relation in (*ALL, *UNSEEN):
        shown, swapped = (
            [picture for number in numbers for picture in draw_pair(relation.name, number)]
            for numbers in ((3, 8), (8, 3))
        )
        assert all(picture.size == (SIDE, SIDE) and picture.mode == "RGB" for picture in shown)
        assert [picture.tobytes() for picture in shown] == [swapped[index].tobytes() for index in (2, 3, 0, 1)]
        assert shown[2].tobytes() != shown[3].tobytes()


def test_every_number_is_a_scene_of_its_own() -> None:
    sources = {draw_pair("blur", number)[0].tobytes() for number in (0, 1, 2, 1000, MAX_SCENE)}
    assert len(sources) == 5


def test_they_are_not_the_scenes_that_are_trained_on() -> None:
    """Those of seed 0, of which the commands draw without being told another."""
    trained = np.array([np.asarray(draw(quiet_scene(0, index))) for index in range(500)], np.int16)
    for number in range(20):
        example = np.asarray(draw_pair("blur", number)[0], np.int16)
        assert np.abs(trained - example).mean(axis=(1, 2, 3)).min() > 0.1


def test_an_unknown_relation_is_refused_with_those_there_are() -> None:
    with pytest.raises(DatasetError, match=r"no relation 'recolour_pink'.*recolour_red.*darken"):
        draw_pair("recolour_pink", 0)
