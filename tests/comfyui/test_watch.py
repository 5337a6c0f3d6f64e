"""Watching a relation: nothing of the run changes, and what is recorded is what the relation added."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compositions import patched
from edits import CASES, Edit, relative_error
from reuse_oracle import reused

from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host
from relation_core.watching.drawing import describe

TEXT, ROWS, COLUMNS = 12, 4, 6
TARGET = ROWS * COLUMNS


def watched(edit: Edit, model: Node) -> tuple[Node, list[Any]]:
    """The model behind our node, and the node's output for drawing."""
    node = edit.graph.add("RelationWatch", model=model)
    return node, node[1]


def watch(edit: Edit, model: Node, text: Any = None, **sampling: Any) -> Any:
    """Sample a model and return the run's record."""
    model, record = watched(edit, model)
    sampled = edit.sample(model, text or edit.with_source(edit.text()), **sampling)
    samples, seen = edit.host.run(edit.graph, samples=sampled, seen=record)
    return seen.run_of(samples["samples"])


# What it leaves alone


@pytest.mark.parametrize("watch_first", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_run_is_the_same_bit_for_bit(host: Host, case: str, watch_first: bool) -> None:
    edit = Edit(host, case)
    text, plain = edit.with_source(edit.text()), patched(edit)
    seen = patched(edit, watched(edit, edit.model())[0]) if watch_first else watched(edit, plain)[0]
    found, exact = edit.run(edit.sample(seen, text), edit.sample(plain, text))
    assert torch.equal(found, exact)


@pytest.mark.slow
def test_torch_compile(edit: Edit) -> None:
    model, text = reused(edit, patched(edit), 2), edit.with_source(edit.text())
    compiled = edit.graph.add("TorchCompileModel", model=watched(edit, model)[0], backend="inductor")
    found, exact = edit.run(edit.sample(compiled, text, steps=3), edit.sample(model, text, steps=3))
    assert relative_error(found, exact) < 1e-4


@pytest.mark.parametrize("kind", ["mask", "reused", "twice", "guided", "batch"])
def test_the_run_is_the_same_in_company(edit: Edit, kind: str) -> None:
    text, noise = edit.with_source(edit.text()), edit.noise(3, 2 if kind == "batch" else 1)
    mask = {"mask": edit.value(torch.rand(1, 9, 7))} if kind == "mask" else {}
    model = patched(edit, **mask)
    if kind == "reused":
        model = reused(edit, model, 2)
    if kind == "twice":
        model = edit.apply(model, edit.relation(edit.picture("after"), edit.picture("before")), strength=0.7)
    samples: list[Node] = []
    seen, record = watched(edit, model)
    for one in (seen, model):
        guided = {"positive": text, "negative": edit.text(1), "cfg": 3.0}
        guider = edit.graph.add("CFGGuider", model=one, **guided) if kind == "guided" else None
        samples.append(edit.sample(one, text, guider=guider, noise=noise, steps=3))
    found, exact = edit.run(*samples)
    assert torch.equal(found, exact)
    run = edit.host.run(edit.graph, seen=record).run_of(found)
    assert run.acted == 3
    assert run.heat.shape == (2 if kind == "batch" else 1, ROWS, COLUMNS)
    assert float(run.heat.mean()) > 0.01


# What it records


def probed_shares(edit: Edit, model: Node, relations: int, **settings: Any) -> tuple[Any, torch.Tensor, list[str]]:
    """The record, the shares (levels, blocks, target tokens) by what the attention was before and after the relations'
    patches, and every block's kind."""
    names = [f"{side} {relations} {settings}" for side in ("before", "after")]  # ComfyUI would not probe anew
    before = edit.graph.add("ProbeAttention", model=model, name=names[0])
    after = before
    for number in range(relations):
        pair = [edit.picture(name) for name in ("before", "after")]
        after = edit.apply(after, edit.relation(*(pair[::-1] if number else pair)), **settings)
    after = edit.graph.add("ProbeAttention", model=after, name=names[1])
    run = watch(edit, after, steps=3)
    first, last = (edit.host.store.pop(name) for name in names)
    shares = []
    for block, owns in first.items():
        for one, total in zip(owns, last[block], strict=True):
            own, given = (part[0, TEXT : TEXT + TARGET].norm(dim=-1) for part in (one, total - one))
            shares.append(given / (own + given))
    shares = torch.stack(shares).unflatten(0, (len(first), 3)).transpose(0, 1)
    return run, shares, [kind for kind, _ in first]


@pytest.mark.parametrize(
    ("relations", "settings"),
    [(1, {}), (1, {"strength": -0.6}), (2, {}), (1, {"single_strength": 0.0}), (1, {"double_strength": 0.3})],
)
def test_shares_are_those_of_the_attention(edit: Edit, relations: int, settings: dict[str, float]) -> None:
    run, shares, kinds = probed_shares(edit, edit.model(), relations, **settings)
    torch.testing.assert_close(run.heat[0].flatten(), shares.mean((0, 1)), rtol=1e-4, atol=1e-6)
    for kind in ("double", "single"):
        ours = shares[:, [place for place, one in enumerate(kinds) if one == kind]]
        assert run.by_level[kind] == pytest.approx(ours.mean((1, 2)).tolist(), rel=1e-4, abs=1e-6)
        assert run.by_block[kind] == pytest.approx(ours.mean((0, 2)).tolist(), rel=1e-4, abs=1e-6)
    assert run.acted == len(run.levels) == 3
    assert 0.01 < float(run.heat.mean()) < 0.99


def test_nothing_is_given_where_the_mask_is_black(edit: Edit) -> None:
    mask = torch.zeros(1, ROWS, COLUMNS)
    mask[:, 1:3, 2:5] = 1
    run = watch(edit, patched(edit, mask=edit.value(mask)))
    assert torch.equal(run.heat[0] > 0, mask[0] > 0)


def test_outside_of_its_range_it_gives_nothing(edit: Edit) -> None:
    run = watch(edit, patched(edit, start_percent=0.4), steps=6)
    acting = [share > 0 for share in run.by_level["double"]]
    assert acting == sorted(acting)  # not at first, then always
    assert 0 < run.acted == sum(acting) < 6 == len(run.levels)
    assert run.levels == sorted(run.levels, reverse=True)


def test_samplers_that_call_twice_a_level_count_levels(edit: Edit) -> None:
    assert len(watch(edit, patched(edit), steps=4, sampler="heun").levels) == 4


def test_a_part_lies_at_its_place(edit: Edit) -> None:
    """An area of the lower right quarter, and nothing elsewhere."""
    where = dict.fromkeys(("width", "height", "x", "y"), 0.5)
    source = edit.with_source(edit.text())
    text = edit.graph.add("ConditioningSetAreaPercentage", conditioning=source, strength=1.0, **where)
    run = watch(edit, patched(edit), text)
    expected = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
    expected[2:, 3:] = True
    assert torch.equal(run.heat[0] > 0, expected)


def test_two_parts_of_equal_size_lie_at_their_places(edit: Edit) -> None:
    """The host samples both in one call."""
    source, parts = edit.with_source(edit.text()), []
    for x, y in ((0.0, 0.5), (0.5, 0.0)):
        where = {"width": 0.5, "height": 0.5, "x": x, "y": y, "strength": 1.0}
        parts.append(edit.graph.add("ConditioningSetAreaPercentage", conditioning=source, **where))
    both = edit.graph.add("ConditioningCombine", conditioning_1=parts[0], conditioning_2=parts[1])
    expected = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
    expected[2:, :3] = expected[:2, 3:] = True
    assert torch.equal(watch(edit, patched(edit), both).heat[0] > 0, expected)


def test_every_picture_of_a_batch_has_its_own(edit: Edit) -> None:
    mask = torch.zeros(2, ROWS, COLUMNS)
    mask[0, 0, 0] = mask[1, 3, 5] = 1
    run = watch(edit, patched(edit, mask=edit.value(mask)), noise=edit.noise(1, 2))
    assert torch.equal(run.heat > 0, mask > 0)


def test_the_negative_pass_is_not_counted(edit: Edit) -> None:
    text = edit.with_source(edit.text())
    plain = watch(edit, patched(edit), text, steps=1)
    model, record = watched(edit, patched(edit))
    guider = edit.graph.add("CFGGuider", model=model, positive=text, negative=edit.text(1), cfg=3.0)
    samples, seen = edit.host.run(edit.graph, samples=edit.sample(None, guider=guider, steps=1), seen=record)
    torch.testing.assert_close(seen.run_of(samples["samples"]).heat, plain.heat)


# Which run is drawn


def draw(edit: Edit, record: Any, latent: Any, pictures: int = 1) -> list[torch.Tensor]:
    image = edit.value(torch.rand(pictures, 64, 96, 3))
    node = edit.graph.add("RelationWatchPicture", watch=record, latent=latent, image=image)
    return list(edit.host.run(edit.graph, image=node, curve=node[1]))


def test_each_of_two_runs_is_found(edit: Edit) -> None:
    """One watched model, two samplers: the mask of the heat map tells which run it is of."""
    text = edit.with_source(edit.text())
    model, record = watched(edit, patched(edit))
    latents = [edit.sample(model, text, noise=edit.noise(seed), steps=steps) for seed, steps in ((1, 2), (2, 5))]
    first, second, seen = edit.host.run(edit.graph, first=latents[0], second=latents[1], seen=record)
    assert [len(seen.run_of(latent["samples"]).levels) for latent in (first, second)] == [2, 5]
    assert [len(seen.run_of(latent["samples"] + 1e-4).levels) for latent in (first, second)] == [2, 5]


def test_a_run_is_found_behind_one_that_overflowed(edit: Edit) -> None:
    node, record = watched(edit, patched(edit))
    model, seen = edit.host.run(edit.graph, model=node, seen=record)
    overflowing = model.clone()
    overflowing.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * float("inf"))
    text = edit.with_source(edit.text())
    sound = edit.run(edit.sample(edit.value(model), text, steps=2))
    broken = edit.run(edit.sample(edit.value(overflowing), text, steps=2))
    assert not broken.isfinite().all()
    assert torch.equal(seen.run_of(sound).samples, sound)


def test_runs_that_hardly_differ_are_told_apart(edit: Edit) -> None:
    """One watch before two Apply nodes."""
    model, record = watched(edit, edit.model())
    text = edit.with_source(edit.text())
    latents = [edit.sample(patched(edit, model, strength=strength), text, steps=3) for strength in (1.0, 0.999)]
    first, second, seen = edit.host.run(edit.graph, first=latents[0], second=latents[1], seen=record)
    heat = [float(seen.run_of(latent["samples"]).heat.mean()) for latent in (first, second)]
    assert heat[0] > heat[1]


def test_a_latent_of_no_run_is_refused(edit: Edit) -> None:
    text = edit.with_source(edit.text())
    model, record = watched(edit, patched(edit))
    latent = edit.sample(model, text)
    for other in (
        edit.sample(patched(edit), text, noise=edit.noise(9)),
        edit.graph.add("LatentUpscaleBy", samples=latent, upscale_method="bislerp", scale_by=2.0),
    ):
        sampled = edit.host.run(edit.graph, sampled=latent, record=record)[1]
        with pytest.raises(GraphError, match=r"None of the \d runs .* shape \(1, 16, .*change the seed"):
            draw(edit, edit.value(sampled), other)


def test_a_run_that_fails_is_not_recorded(edit: Edit) -> None:
    model, record = watched(edit, patched(edit))
    stopping, seen = edit.host.run(edit.graph, model=model, seen=record)
    stopping, before = stopping.clone(), list(seen._runs)

    def stop(args: dict[str, Any]) -> torch.Tensor:
        raise RuntimeError("stopped here")

    stopping.set_model_sampler_post_cfg_function(stop)
    text = edit.with_source(edit.text())
    with pytest.raises(GraphError, match="stopped here"):
        edit.run(edit.sample(edit.value(stopping), text))
    assert all(one is other for one, other in zip(seen._runs, before, strict=True))
    seen.run_of(edit.run(edit.sample(model, text, noise=edit.noise(17))))
    assert len(seen._runs) == len(before) + 1


def test_levels_that_a_step_cache_skips_are_left_out(edit: Edit) -> None:
    model = edit.run(patched(edit)).clone()
    calls: list[int] = []

    def skip(executor: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        return torch.zeros_like(x) if len(calls) % 2 == 0 else executor(x, *args, **kwargs)

    model.add_wrapper_with_key("diffusion_model", "skip", skip)
    run = watch(edit, edit.value(model), steps=6)
    assert len(calls) == 6
    assert run.acted == len(run.levels) == 3


@pytest.mark.parametrize("parts", [((0, 2), (2, 8)), ((0, 4), (4, 8))])
def test_parts_of_unknown_place_give_no_map_and_no_error(edit: Edit, parts: tuple[tuple[int, int], ...]) -> None:
    """Rows of the latent that a node shows the model one after another; without a source, that is allowed."""
    model, record = watched(edit, patched(edit))
    tiled, plain = edit.run(model).clone(), edit.run(patched(edit)).clone()

    def tiles(apply: Any, args: dict[str, Any]) -> torch.Tensor:
        return torch.cat([apply(args["input"][:, :, a:b], args["timestep"], **args["c"]) for a, b in parts], dim=2)

    samples = []
    for one in (tiled, plain):
        one.set_model_unet_function_wrapper(tiles)
        samples.append(edit.sample(edit.value(one), edit.text(), steps=2))
    found, exact, seen = edit.host.run(edit.graph, found=samples[0], exact=samples[1], seen=record)
    assert torch.equal(found["samples"], exact["samples"])
    run = seen.run_of(found["samples"])
    assert run.heat is None and run.acted == 2
    assert "There is no map" in describe(run, 0)[1]


@pytest.mark.parametrize(
    ("settings", "dark"), [({}, False), ({"strength": 0.0}, True), ({"start_percent": 0.999}, True), (None, True)]
)
def test_a_relation_without_effect_gives_a_dark_picture(
    edit: Edit, settings: dict[str, float] | None, dark: bool
) -> None:
    model, record = watched(edit, edit.model() if settings is None else patched(edit, **settings))
    latent = edit.sample(model, edit.with_source(edit.text()))
    image, curve = draw(edit, record, latent)
    assert image.shape[-1] == curve.shape[-1] == 3
    red = image[0, : image.shape[1] // 2, :, 0]
    assert (float(red.max()) < 0.5) == dark


def test_a_picture_of_other_proportions_is_refused(edit: Edit) -> None:
    model, record = watched(edit, patched(edit))
    latent = edit.sample(model, edit.with_source(edit.text()))
    node = edit.graph.add(
        "RelationWatchPicture", watch=record, latent=latent, image=edit.value(torch.rand(1, 32, 96, 3))
    )
    with pytest.raises(GraphError, match=r"Got a picture of 96x32 for a latent of 12x8; expected the same proportions"):
        edit.host.run(edit.graph, image=node)


def test_other_numbers_of_pictures_are_refused(edit: Edit) -> None:
    model, record = watched(edit, patched(edit))
    with pytest.raises(GraphError, match=r"Got 2 pictures for a latent of 1; expected one for each"):
        draw(edit, record, edit.sample(model, edit.with_source(edit.text())), pictures=2)
