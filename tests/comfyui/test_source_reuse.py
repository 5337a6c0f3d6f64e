"""Reuse of the source: what it computes, where it does nothing, and that nothing outlives a run."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from compositions import APART, patched
from edits import Edit, relative_error
from reuse_oracle import PICTURE, counted, reused, tokens_of

from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host

FULL, TARGET = 2 * PICTURE, PICTURE


# What is computed


@pytest.mark.parametrize(("every", "steps"), [(2, [0, 3, 5, 7, 8]), (3, [0, 5, 8]), (4, [0, 5, 8]), (100, [0, 5, 8])])
def test_the_source_is_computed_where_the_noise_falls_and_at_the_last_step(
    edit: Edit, every: int, steps: list[int]
) -> None:
    tokens = tokens_of(edit, reused(edit, patched(edit), every), steps=9)
    assert tokens == [FULL if step in steps else TARGET for step in range(9)]


@pytest.mark.parametrize("sampler", ["heun", "euler", "uni_pc"])
def test_at_1_the_edit_is_the_plain_one_bit_for_bit(edit: Edit, sampler: str) -> None:
    model, text = patched(edit), edit.with_source(edit.text())
    found, exact = edit.run(*[edit.sample(given, text, sampler=sampler) for given in (reused(edit, model, 1), model)])
    assert torch.equal(found, exact)


@pytest.mark.parametrize("case", ["one_head", "two_heads"])
def test_8_bits_are_nearly_what_full_numbers_are(host: Host, case: str) -> None:
    edit = Edit(host, case)
    model, text = patched(edit), edit.with_source(edit.text())
    nodes = [reused(edit, model), reused(edit, model, reuse_8bit=True), model]
    full, rounded, exact = edit.run(*[edit.sample(given, text, steps=9) for given in nodes])
    assert 0 < relative_error(rounded, full) < 0.2 * relative_error(full, exact)


def test_at_1_8_bits_change_nothing(edit: Edit) -> None:
    model, text = patched(edit), edit.with_source(edit.text())
    nodes = [reused(edit, model, 1, reuse_8bit=True), model]
    found, exact = edit.run(*[edit.sample(given, text) for given in nodes])
    assert torch.equal(found, exact)


def test_levels_are_counted_and_not_calls(edit: Edit) -> None:
    """Heun's method calls the model twice at every level but the first and the last."""
    tokens = tokens_of(edit, reused(edit, patched(edit), 2), steps=5, sampler="heun")
    assert tokens == [FULL, TARGET, TARGET, TARGET, TARGET, FULL, TARGET, FULL, TARGET]


def test_a_refresh_that_a_step_cache_skipped_comes_at_the_next_call(edit: Edit) -> None:
    model, calls = edit.run(reused(edit, patched(edit), 3)).clone(), []

    def skip(executor: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(x)
        return torch.zeros_like(x) if len(calls) in (4, 5, 6) else executor(x, *args, **kwargs)

    model.add_wrapper_with_key("diffusion_model", "skip", skip)
    tokens = tokens_of(edit, edit.value(model), steps=9)
    # Levels 0 1 2 - - - 6 7 8: the refresh of level 5 is due.
    assert tokens == [FULL, TARGET, TARGET, FULL, TARGET, FULL]


def test_levels_of_the_schedule_count_where_the_sampler_never_asks(edit: Edit) -> None:
    """LazyCache answers in our place, and levels pass without a word."""
    model, calls = edit.run(patched(edit)).clone(), []

    def skip(executor: Any, x: torch.Tensor, *args: Any) -> torch.Tensor:
        calls.append(x)
        return torch.zeros_like(x) if len(calls) in (5, 6) else executor(x, *args)

    model.add_wrapper_with_key("predict_noise", "skip", skip)
    assert tokens_of(edit, reused(edit, edit.value(model), 4), steps=8) == [FULL, TARGET, TARGET, TARGET, FULL, FULL]


def test_a_sampler_may_add_noise_before_the_only_step(edit: Edit) -> None:
    """It asks for a level above the schedule's."""
    from comfy.samplers import ksampler

    churning = edit.value(ksampler("euler", {"s_churn": 0.5}))
    assert tokens_of(edit, reused(edit, patched(edit), 4), steps=1, sampler=churning) == [FULL]


def test_the_source_is_refreshed_where_the_relation_begins_and_stops(edit: Edit) -> None:
    tokens = tokens_of(edit, reused(edit, patched(edit, start_percent=0.3, end_percent=0.7), 100), steps=10)
    assert tokens[0] == tokens[-1] == FULL and tokens[1:-1].count(FULL) == 2


# Where nothing is reused


@pytest.mark.parametrize("what", ["tiles", "guidance that changes the model"])
def test_calls_that_only_look_alike_are_computed(edit: Edit, what: str) -> None:
    """Under one name a model is called for two tiles, or once more with some blocks left out."""
    text = edit.with_source(edit.text())

    def run(model: Node) -> torch.Tensor:
        if what == "tiles":
            tiled = edit.run(model).clone()
            tiled.set_model_unet_function_wrapper(_in_two_tiles)
            return edit.run(edit.sample(edit.value(tiled), text))
        guided = edit.graph.add(
            "SkipLayerGuidanceDiT", model=model, double_layers="0", single_layers="1", scale=2.0,
            start_percent=0.0, end_percent=1.0, rescaling_scale=0.0,
        )  # fmt: skip
        return edit.run(edit.sample(guided, text))

    model = edit.model() if what == "tiles" else patched(edit)  # a relation cannot follow tiles, and is refused
    assert torch.equal(run(reused(edit, model)), run(model))


def _in_two_tiles(apply: Any, args: dict[str, Any]) -> torch.Tensor:
    tiles = args["input"].split(6, dim=-1)
    return torch.cat([apply(tile.contiguous(), args["timestep"], **args["c"]) for tile in tiles], dim=-1)


def test_without_a_source_nothing_changes(edit: Edit) -> None:
    model, text = patched(edit), edit.text()
    found, exact = edit.run(edit.sample(reused(edit, model), text), edit.sample(model, text))
    assert torch.equal(found, exact)


def test_of_two_nodes_the_last_one_counts(edit: Edit) -> None:
    tokens = tokens_of(edit, reused(edit, reused(edit, patched(edit), 2), 3), steps=7)
    assert tokens == [FULL if step in (0, 4, 6) else TARGET for step in range(7)]
    assert tokens_of(edit, reused(edit, reused(edit, patched(edit), 2), 1), steps=3) == [FULL] * 3


def test_the_model_before_the_node_stays_as_it_was(edit: Edit) -> None:
    model, text = patched(edit), edit.with_source(edit.text())
    before, _, after = edit.run(
        edit.sample(model, text), edit.sample(reused(edit, model), text), edit.sample(model, text)
    )
    assert torch.equal(before, after)


# What a run leaves behind


def test_another_picture_never_meets_the_last_ones_keys(edit: Edit) -> None:
    model = edit.value(edit.run(reused(edit, patched(edit), 100)))
    texts = [edit.with_source(edit.text(), edit.noise(seed)) for seed in (1, 2)]
    first = edit.run(edit.sample(model, texts[0]))
    second = edit.run(edit.sample(model, texts[1]))
    alone = Edit(edit.host)
    fresh = alone.run(alone.sample(reused(alone, patched(alone), 100), alone.with_source(alone.text(), alone.noise(2))))
    assert torch.equal(second, fresh)
    assert relative_error(second, first) > APART


def test_one_model_in_two_samplers(edit: Edit) -> None:
    """The second starts where the first ends, with the same conditioning."""
    model, text = reused(edit, patched(edit), 100), edit.with_source(edit.text())
    model, tokens = counted(edit, model)
    edit.run(*[edit.sample(model, text, noise=edit.noise(seed), steps=4) for seed in (1, 2)])
    assert tokens == 2 * [FULL, TARGET, FULL, FULL]


def test_an_interrupted_run_leaves_nothing(edit: Edit) -> None:
    model, text = edit.run(reused(edit, patched(edit), 100)), edit.with_source(edit.text())
    kind = edit.host.module("relation_core.flux.source_reuse").SourceMemory
    stopping, alive = model.clone(), []

    def stop(args: dict[str, Any]) -> torch.Tensor:
        alive.append(_living(kind))
        raise RuntimeError("stopped")

    stopping.set_model_sampler_post_cfg_function(stop)
    with pytest.raises(GraphError, match="stopped"):
        edit.run(edit.sample(edit.value(stopping), text))
    again, tokens = counted(edit, edit.value(model))
    edit.run(edit.sample(again, text, noise=edit.noise(2), steps=3))
    assert tokens == [FULL, TARGET, FULL]
    assert alive == [1]
    assert _living(kind) == 0


def _living(kind: type) -> int:
    gc.collect()
    return sum(type(found) is kind for found in gc.get_objects())


# What the host is told


@pytest.mark.parametrize("batch", [1, 2])
def test_the_host_makes_room_for_what_is_kept(edit: Edit, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    import comfy.model_management

    load, asked = comfy.model_management.load_models_gpu, []

    def record(models: Any, **memory: Any) -> None:
        if "memory_required" in memory:  # sampling; the vision tower and the autoencoder ask for nothing beside them
            asked.append((memory["memory_required"], memory["minimum_memory_required"]))
        load(models, **memory)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", record)
    text = edit.with_source(edit.text(), edit.noise(3, batch, (8, 12)))
    negative = edit.with_source(edit.text(1), edit.noise(3, batch, (4, 6)))
    ways = [
        reused(edit, patched(edit), every, reuse_8bit=rounded) for every, rounded in ((4, False), (4, True), (1, True))
    ]
    for model in (patched(edit), *ways):
        guider = edit.graph.add("CFGGuider", model=model, positive=text, negative=negative, cfg=2.0)
        edit.run(edit.sample(None, guider=guider, noise=edit.noise(1, batch), steps=1))
    blocks, width, item = 5, 128, 4
    kept = 2 * batch * (24 + 6) * blocks * width * item
    plain, reusing, rounding, refreshing = asked
    for found, expected in ((reusing, kept), (rounding, kept * (1 + 4 / 128) / item)):
        assert [now - before for now, before in zip(found, plain, strict=True)] == pytest.approx([expected, expected])
    assert refreshing == plain


def test_a_model_that_never_calls_the_patch_is_found_on_the_first_step(edit: Edit) -> None:
    import comfy.sd

    file = edit.host.base / "models/diffusion_models/one_head/transformer.safetensors"
    model = comfy.sd.load_diffusion_model(str(file))
    forward = model.model.diffusion_model.forward
    model.model.diffusion_model.forward = lambda *args, transformer_options=None, **kwargs: forward(
        *args, transformer_options={}, **kwargs
    )
    with pytest.raises(GraphError, match=r"ModelMismatchError: .*does not call ComfyUI's post_input.*remove Reuse"):
        edit.run(edit.sample(reused(edit, edit.value(model)), edit.with_source(edit.text())))


def test_another_family_is_refused(edit: Edit) -> None:
    model = edit.run(edit.model()).clone()
    model.model = type("Chroma", (), {})()
    with pytest.raises(GraphError, match=r"The model is a Chroma; .* FLUX\.1 only"):
        edit.run(reused(edit, edit.value(model)))
