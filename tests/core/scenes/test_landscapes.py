"""Landscapes and relations between them: the same each time, easily seen, told apart, and held out as they say."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from relation_core.scenes.families import BY_NAME, FAMILIES
from relation_core.scenes.landscape import SIDE, quiet_landscape
from relation_core.scenes.near_misses import near_misses
from relation_core.scenes.painting import paint
from relation_core.scenes.relation import PaintedEdit, Step, can_be_composed, relation_of
from relation_core.scenes.splits import (
    HELD_OUT_SHARE,
    SPLITS,
    Split,
    compositions,
    draw_relation,
    draw_scene,
)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def single(name: str, seed: int) -> PaintedEdit:
    """A relation of one step of a family, with a value that it is trained or tested with."""
    splits: tuple[Split, ...] = ("families",) if BY_NAME[name].held_out else ("trained", "ranges")
    drawn = (draw_relation(seed, index, split) for index in range(1000) for split in splits)
    return next(relation for relation in drawn if relation.families == (name,))


def test_the_same_seed_paints_the_same_pictures() -> None:
    first, again = quiet_landscape(3, 7), quiet_landscape(3, 7)
    assert first == again and paint(first).tobytes() == paint(again).tobytes()
    assert paint(quiet_landscape(4, 7)).tobytes() != paint(first).tobytes()
    assert len({sha256(paint(quiet_landscape(3, index)).tobytes()).digest() for index in range(20)}) == 20
    for split in SPLITS:
        assert draw_relation(1, 5, split) == draw_relation(1, 5, split)
        assert len({draw_relation(1, index, split).name for index in range(60)}) > 2


def test_landscapes_do_not_change_from_version_to_version() -> None:
    """A model is trained on them: its figures hold for these landscapes only."""
    picture = pixels(paint(quiet_landscape(0, 0)))
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.mean((0, 1)) == pytest.approx((114.25, 145.08, 138.98), abs=0.5)
    found = picture[[5, 64, 100], [5, 64, 100]]
    assert np.abs(found - [(114, 155, 212), (92, 130, 104), (205, 175, 175)]).max() <= 3


def test_every_landscape_can_be_drawn() -> None:
    """Where houses leave little room, trees are still placed, and in the end."""
    for index in range(3000):
        scene = quiet_landscape(0, index)
        assert 1 <= len(scene.houses) <= 3 and 5 <= len(scene.trees) <= 10


def test_quiet_landscapes_show_nothing_that_a_relation_makes() -> None:
    for index in range(60):
        scene = quiet_landscape(5, index)
        weather = scene.weather
        assert not scene.guests and scene.sun[0] < 0.4 * SIDE
        assert not (weather.hour or weather.fog or weather.rain or weather.snow or weather.autumn or weather.flood)
        assert weather.sky_hue is None
        for house in scene.houses:
            assert max(house.wall) - min(house.wall) < 0.4  # a hue's walls have 0.66


@pytest.mark.parametrize("name", BY_NAME)
def test_every_family_is_visible(name: str) -> None:
    for seed in range(8):
        relation = single(name, seed)
        scene = draw_scene(relation, 1, 10 * seed)
        before, after = pixels(paint(scene)), pixels(relation.apply(scene))
        assert after.shape == before.shape
        assert ((after - before) ** 2).mean() > 15, relation.name
        assert (np.abs(after - before).max(axis=2) > 16).mean() > 0.008, relation.name


@pytest.mark.parametrize("split", SPLITS)
def test_near_misses_are_many_and_others(split: Split) -> None:
    for index in range(12):
        relation = draw_relation(2, index, split)
        misses = near_misses(relation, seed=0)
        names = {miss.name for miss in misses}
        assert len(misses) == len(names) == 44 and relation.name not in names
        scene = draw_scene(relation, 3, index)
        target = pixels(relation.apply(scene))
        for miss in misses[:8]:
            assert ((pixels(miss.apply(scene)) - target) ** 2).mean() > 0.5, (relation.name, miss.name)


def test_near_misses_hold_neighbours_halves_and_the_reverse() -> None:
    names = [miss.name for miss in near_misses(relation_of(Step("mirror"), Step("houses", 10)), seed=0)]
    assert names[:2] == ["houses_40+mirror", "houses_340+mirror"]
    assert {"houses_10", "mirror"} < set(names)
    assert "hues_280" in [miss.name for miss in near_misses(relation_of(Step("hues", 80)), seed=0)]
    assert "turn_270" in [miss.name for miss in near_misses(relation_of(Step("turn", 90)), seed=0)]
    assert "contrast_-1" in [miss.name for miss in near_misses(relation_of(Step("contrast", 1.0)), seed=0)]


def split_of(relation: PaintedEdit) -> Split:
    families = [step.family for step in relation.steps]
    if any(family.held_out for family in families):
        return "families"
    if any(step.family.parameter.is_held_out(step.value) for step in relation.steps):
        return "ranges"
    return "compositions" if relation.families in compositions()[1] else "trained"


def test_relations_are_drawn_from_their_split() -> None:
    for split in SPLITS:
        for index in range(300):
            assert split_of(draw_relation(11, index, split)) == split
    trained, held_out = compositions()
    assert not set(trained) & set(held_out)
    assert len(held_out) == round(HELD_OUT_SHARE * (len(trained) + len(held_out))) >= 40
    for family in FAMILIES:  # whatever is held out is trained in other company
        assert family.held_out or any(family.name in pair for pair in trained)
        assert all(can_be_composed(BY_NAME[first], BY_NAME[second]) for first, second in (*trained, *held_out))
    assert [family.name for family in FAMILIES if family.held_out] == ["boat", "sepia", "pencil"]


def test_steps_act_in_one_order() -> None:
    one, other = relation_of(Step("mirror"), Step("snow")), relation_of(Step("snow"), Step("mirror"))
    assert one == other and one.name == "snow+mirror"
    scene = quiet_landscape(0, 1)
    snow = relation_of(Step("snow")).apply(scene)
    assert one.apply(scene).tobytes() == snow.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()


def test_hues_are_what_they_say() -> None:
    scene = quiet_landscape(0, 0)
    for hue, loudest in ((0, 0), (120, 1), (240, 2)):
        house = relation_of(Step("houses", hue)).steps[0]
        change = house.family.of_scene
        assert change is not None
        assert int(np.argmax(change(scene, hue).houses[0].wall)) == loudest
        sky = pixels(relation_of(Step("sky", hue)).apply(scene))[:8].mean((0, 1))
        assert int(np.argmax(sky)) == loudest
    turned = pixels(relation_of(Step("hues", 180)).apply(scene))
    again = pixels(paint(scene))
    assert np.abs(turned.mean(axis=2) - again.mean(axis=2)).mean() < 40
