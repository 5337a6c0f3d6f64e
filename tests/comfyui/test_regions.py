"""Where the host samples a part of the picture, the source's positions and the relation's mask follow."""

from __future__ import annotations

import random
from statistics import mean
from typing import Any

import pytest
import torch
from edits import Edit, relative_error
from small_edits import SmallEdit

from comfyui_host.graph import Node
from comfyui_host.host import Host

QUICK, ALL = 5, 100
SIDE, PIXELS = 16, 8
"""Latent pixels a side of the small model's pictures, and pixels a side of one of them."""
LOCAL = ("invert", "night", "snow")
"""Edits of which every place shows its own share."""
FARTHER = 0.012
"""What a region's mean error may exceed the whole picture's there by; a moved source makes it up to 0.13."""

Box = tuple[int, int, int, int]
"""Height, width, top and left in latent pixels."""


class Regions:
    """A random graph of one edit, bound to areas, masks and crops that may overlap."""

    def __init__(self, host: Host, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - no secret
        self.edit = SmallEdit(host, self.draw.choice(LOCAL), 2000 + seed, 3000 + seed)
        self.boxes = [self._box() for _ in range(self.draw.choice([1, 1, 2, 3]))]
        self.said: list[Any] = [self.boxes]
        prompt = None
        for box in self.boxes:
            part = self._bound(box)
            prompt = part if prompt is None else self._combined(prompt, part)
        if self.draw.random() < 0.4:
            prompt = self._combined(prompt, self.edit.source[0])
            self.said.append("and the whole")
        self.prompt = prompt

    def errors(self) -> list[tuple[float, float]]:
        """Of every region: mean error to the target, of the picture made in one piece and of that made in regions."""
        edit, model = self.edit, self.edit.applied()
        whole, parts, target, vae = edit.run(
            edit.sampled(model, edit.source[0]), edit.sampled(model, self.prompt), edit.target, edit.vae
        )
        found = []
        for height, width, top, left in self.boxes:
            place = (..., slice(top, top + height), slice(left, left + width))
            pasted = whole.clone()
            pasted[place] = parts[place]
            with torch.inference_mode():
                pictures = [vae.decode(latent.clone()) for latent in (whole, pasted)]
            rows = slice(PIXELS * top, PIXELS * (top + height))
            columns = slice(PIXELS * left, PIXELS * (left + width))
            found.append(tuple(float((p - target)[:, rows, columns].abs().mean()) for p in pictures))
        return found

    def _box(self) -> Box:
        height, width = (self.draw.randint(SIDE // 2, SIDE) for _ in range(2))
        return height, width, self.draw.randint(0, SIDE - height), self.draw.randint(0, SIDE - width)

    def _bound(self, box: Box) -> Node:
        height, width, top, left = box
        kind = self.draw.choice(["area", "bounds", "mask"])
        strength = self.draw.choice([1.0, 0.5])
        self.said.append((kind, strength))
        add, source = self.edit.graph.add, self.edit.source[0]
        if kind == "area":
            shares = {"height": height / SIDE, "width": width / SIDE, "y": top / SIDE, "x": left / SIDE}
            return add("ConditioningSetAreaPercentage", conditioning=source, strength=strength, **shares)
        mask = torch.zeros(1, SIDE * PIXELS, SIDE * PIXELS)
        mask[:, PIXELS * top : PIXELS * (top + height), PIXELS * left : PIXELS * (left + width)] = 1.0
        where = "mask bounds" if kind == "bounds" else "default"
        return add(
            "ConditioningSetMask",
            conditioning=source,
            mask=self.edit.value(mask),
            strength=strength,
            set_cond_area=where,
        )

    def _combined(self, first: Any, second: Any) -> Node:
        return self.edit.graph.add("ConditioningCombine", conditioning_1=first, conditioning_2=second)


def check(host: Host, seeds: range) -> None:
    errors = []
    for seed in seeds:
        regions = Regions(host, seed)
        for whole, part in regions.errors():
            assert part <= whole + FARTHER, (seed, whole, part, regions.said)
            errors.append((whole, part))
    assert mean(part for _, part in errors) <= 1.1 * mean(whole for whole, _ in errors)


def test_every_region_is_edited_as_the_whole_picture_is(host: Host) -> None:
    check(host, range(QUICK))


@pytest.mark.slow
def test_a_hundred_graphs_of_regions(host: Host) -> None:
    check(host, range(QUICK, ALL))


def area(edit: Edit, conditioning: Any, box: Box) -> Node:
    """Bind a prompt to a part of the golden latent, which is 8 x 12."""
    height, width, top, left = box
    shares = {"height": height / 8, "width": width / 12, "y": top / 8, "x": left / 12}
    return edit.graph.add("ConditioningSetAreaPercentage", conditioning=conditioning, strength=1.0, **shares)


TEXT, ROWS, COLUMNS = 12, 4, 6
BOXES: list[Box] = [(4, 6, 2, 4), (8, 6, 0, 6), (3, 5, 3, 5), (2, 2, 6, 10), (1, 1, 7, 11), (5, 11, 0, 1)]


def tokens_in(box: Box) -> torch.Tensor:
    """Which of the picture's tokens a part touches: (rows, columns) of booleans."""
    height, width, top, left = box
    touched = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
    touched[top // 2 : (top + height + 1) // 2, left // 2 : (left + width + 1) // 2] = True
    return touched


@pytest.mark.parametrize("box", BOXES)
def test_the_source_lies_around_the_part(host: Host, box: Box) -> None:
    """Every source token is as far from the part's tokens as it is in the whole picture."""
    edit = Edit(host)
    seen: list[torch.Tensor] = []

    def record(args: dict[str, Any]) -> dict[str, Any]:
        seen.append(args["img_ids"].clone())
        return args

    patched = edit.run(edit.apply(edit.model(), edit.relation())).clone()
    patched.set_model_post_input_patch(record)
    text = area(edit, edit.with_source(edit.text()), box)
    edit.run(edit.sample(edit.value(patched), text, steps=1))
    (ids,) = seen[0]
    touched = tokens_in(box).flatten()
    target, source = ids[: touched.sum()], ids[touched.sum() :]
    whole = edit.tensors["img_ids"][: ROWS * COLUMNS].to(ids)
    torch.testing.assert_close(source[touched], target)
    torch.testing.assert_close(source - source[0], whole - whole[0])


@pytest.mark.parametrize("box", BOXES)
def test_the_mask_lies_where_it_does_in_the_whole_picture(host: Host, box: Box) -> None:
    def attention(**settings: Any) -> torch.Tensor:
        edit = Edit(host)
        if "mask" in settings:
            settings["mask"] = edit.value(settings["mask"])
        model = edit.apply(edit.model(), edit.relation(), single_strength=0.0, **settings)
        return edit.attention(model, area(edit, edit.with_source(edit.text()), box))[("double", 0)][0]

    shares = torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(4))
    mask = shares.repeat_interleave(16, 0).repeat_interleave(16, 1)[None]
    resting = attention(strength=1e-30)
    free = attention(strength=1.0) - resting
    masked = attention(strength=1.0, mask=mask) - resting
    touched = tokens_in(box)
    expected = torch.cat([torch.ones(TEXT), shares[touched], shares.flatten()])[:, None] * free
    assert relative_error(masked, expected) < 1e-5
    assert relative_error(masked, free) > 0.1


def test_an_area_keeps_its_weights(host: Host) -> None:
    """Whole tokens are sampled for it, and what lies beside it counts for nothing."""
    import comfy.samplers

    crops = host.module("nodes.crops")
    latent = torch.zeros(2, 16, 21, 33)
    draw = random.Random(3)  # noqa: S311 - no secret
    for _ in range(50):
        height, width = draw.randint(1, 21), draw.randint(1, 40)
        top, left = draw.randint(0, 20), draw.randint(0, 32)
        entry: dict[str, Any] = {"area": (height, width, top, left), "strength": 0.7, "model_conds": {}, "uuid": None}
        if draw.random() < 0.5:
            entry |= {"mask": torch.rand(draw.choice([1, 2]), 21, 33), "mask_strength": 0.4}
        if draw.random() < 0.5:
            entry |= {"timestep_start": -1.0}
        found = crops.aligned(entry, latent, 2)
        assert found.get("timestep_start") == entry.get("timestep_start")
        weights = []
        for one in (entry, found):
            used = comfy.samplers.get_area_and_mult({**one, "timestep_start": 1.0}, latent, torch.ones(1))
            whole = torch.zeros_like(latent)
            rows, columns, y, x = used.area
            whole[..., y : y + rows, x : x + columns] = used.mult
            weights.append(whole)
        assert torch.equal(*weights)
        rows, columns, y, x = found["area"]
        bottom, right = min(y + rows, 21), min(x + columns, 33)
        assert y % 2 == x % 2 == 0
        assert bottom in {21, bottom // 2 * 2}
        assert right in {33, right // 2 * 2}
        window = crops.window_of(found, (21, 33), 2)
        if (y, x, bottom, right) == (0, 0, 21, 33):
            assert window is None
        else:
            assert (window.whole, window.top, window.left) == ((11, 17), y // 2, x // 2)


def test_guided_areas_keep_the_relation(host: Host) -> None:
    """For an area of the positive prompt the host copies its entry, id and all, to the negative one."""
    edit = Edit(host)
    seen: dict[str, list[torch.Tensor]] = {"with": [], "without": []}
    for name, model in (("with", edit.apply(edit.model(), edit.relation())), ("without", edit.model())):
        watched = edit.run(model).clone()

        def record(args: dict[str, Any], name: str = name) -> torch.Tensor:
            seen[name].extend([args["cond_denoised"].clone(), args["uncond_denoised"].clone()])
            return args["denoised"]

        watched.set_model_sampler_post_cfg_function(record, disable_cfg1_optimization=True)
        positive = area(edit, edit.with_source(edit.text()), (4, 6, 2, 4))
        guider = edit.graph.add(
            "CFGGuider", model=edit.value(watched), positive=positive, negative=edit.text(1), cfg=3.0
        )
        edit.run(edit.sample(None, guider=guider, steps=1))
    assert relative_error(seen["with"][0], seen["without"][0]) > 1e-3
    assert relative_error(seen["with"][1], seen["without"][1]) < 1e-5
