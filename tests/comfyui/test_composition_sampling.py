"""The relation with the core's samplers, guiders, conditioning and latent masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compositions import APART, patched, still
from edits import POSITIONS_ONLY, Edit, relative_error
from refusals import message_of
from small_edits import SmallEdit

from comfyui_host.graph import Node
from comfyui_host.host import Host

BOUND = 1e-5


def ksampler(edit: Edit, model: Node, positive: Node, negative: Node | None = None, **settings: Any) -> Node:
    defaults = {"seed": 7, "steps": 6, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    return edit.graph.add(
        "KSampler",
        model=model,
        positive=positive,
        negative=negative or edit.text(1),
        latent_image=edit.latent(),
        **{**defaults, **settings},
    )


def predictions(edit: Edit, model: Any, **guiding: Any) -> list[dict[str, torch.Tensor]]:
    """The positive and negative denoised pictures of every step."""
    seen: list[dict[str, torch.Tensor]] = []

    def record(args: dict[str, Any]) -> torch.Tensor:
        seen.append({"positive": args["cond_denoised"].clone(), "negative": args["uncond_denoised"].clone()})
        return args["denoised"]

    watched = edit.run(model).clone()
    watched.set_model_sampler_post_cfg_function(record, disable_cfg1_optimization=True)
    guider = edit.graph.add("CFGGuider", model=edit.value(watched), **guiding)
    edit.run(edit.sample(None, guider=guider, steps=2))
    return seen


def test_model_sampling_flux(edit: Edit) -> None:
    """Its shift also moves where a percentage of sampling lies."""

    def shifted(model: Node) -> Node:
        return edit.graph.add("ModelSamplingFlux", model=model, max_shift=2.5, base_shift=0.5, width=96, height=64)

    text, relation, plain = edit.with_source(edit.text()), edit.relation(), edit.model()
    settings = {"start_percent": 0.3, "end_percent": 0.6}
    before, after, unshifted, neither = edit.run(
        ksampler(edit, edit.apply(shifted(plain), relation, **settings), text),
        ksampler(edit, shifted(edit.apply(plain, relation, **settings)), text),
        ksampler(edit, edit.apply(plain, relation, **settings), text),
        ksampler(edit, edit.apply(shifted(plain), relation, **settings, **POSITIONS_ONLY), text),
    )
    assert torch.equal(before, after)
    assert relative_error(before, unshifted) > APART
    assert relative_error(before, neither) > APART


def test_ksampler_equals_the_custom_sampler(edit: Edit) -> None:
    model, text = patched(edit), edit.with_source(edit.text())
    sigmas = edit.graph.add("BasicScheduler", model=model, scheduler="simple", steps=6, denoise=1.0)
    custom = edit.graph.add(
        "SamplerCustomAdvanced",
        noise=edit.graph.add("RandomNoise", noise_seed=7),
        guider=edit.graph.add("BasicGuider", model=model, conditioning=text),
        sampler=edit.graph.add("KSamplerSelect", sampler_name="euler"),
        sigmas=sigmas,
        latent_image=edit.latent(),
    )
    found, expected, plain = edit.run(ksampler(edit, model, text), custom, ksampler(edit, still(edit), text))
    assert relative_error(found, expected) < BOUND
    assert relative_error(found, plain) > APART


def test_ksampler_advanced_in_two_parts(edit: Edit) -> None:
    model, text, negative = patched(edit), edit.with_source(edit.text()), edit.text(1)

    def part(latent: Node, start: int, end: int, first: bool, by: Node = model) -> Node:
        return edit.graph.add(
            "KSamplerAdvanced",
            model=by,
            add_noise="enable" if first else "disable",
            noise_seed=7,
            steps=6,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            positive=text,
            negative=negative,
            latent_image=latent,
            start_at_step=start,
            end_at_step=end,
            return_with_leftover_noise="enable" if end < 6 else "disable",
        )

    found, expected, plain = edit.run(
        part(part(edit.latent(), 0, 3, True), 3, 6, False),
        part(edit.latent(), 0, 6, True),
        part(edit.latent(), 0, 6, True, still(edit)),
    )
    assert relative_error(found, expected) < BOUND
    assert relative_error(found, plain) > APART


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "euler_ancestral", "dpmpp_2m_sde", "lcm"])
def test_samplers(edit: Edit, sampler: str) -> None:
    text, noise = edit.with_source(edit.text()), edit.noise()
    relation, plain = edit.relation(), edit.model()
    found, again, without, idle, neither = edit.run(
        edit.sample(edit.apply(plain, relation), text, noise=noise, sampler=sampler),
        edit.sample(edit.apply(plain, relation), text, noise=noise, sampler=sampler, steps=6),
        edit.sample(plain, text, noise=noise, sampler=sampler),
        edit.sample(edit.apply(plain, relation, strength=0.0), text, noise=noise, sampler=sampler),
        edit.sample(edit.apply(plain, relation, **POSITIONS_ONLY), text, noise=noise, sampler=sampler),
    )
    assert torch.equal(found, again)
    assert torch.equal(without, idle)
    assert relative_error(found, neither) > APART


@pytest.mark.parametrize("batched", [True, False])
def test_the_negative_pass_is_the_unpatched_models(edit: Edit, batched: bool) -> None:
    """Batched: both prompts carry the source, so the host runs them together; else only the positive one does."""
    positive = edit.with_source(edit.text())
    negative = edit.with_source(edit.text(1)) if batched else edit.text(1)
    guiding = {"positive": positive, "negative": negative, "cfg": 3.0}
    with_relation, without = (
        predictions(edit, patched(edit), **guiding)[0],
        predictions(edit, edit.model(), **guiding)[0],
    )
    assert relative_error(with_relation["negative"], without["negative"]) < BOUND
    neither = predictions(edit, still(edit), **guiding)[0]
    assert relative_error(with_relation["positive"], neither["positive"]) > APART
    alone = predictions(edit, patched(edit), positive=positive, negative=edit.text(1), cfg=3.0)[0]
    assert relative_error(with_relation["positive"], alone["positive"]) < BOUND


def test_dual_guidance_knows_the_negative_by_its_name(edit: Edit) -> None:
    """DualCFGGuider hands the negative prompt over first; its place in the list says nothing."""
    positive, middle, negative = (edit.with_source(edit.text(seed)) for seed in (None, 1, 2))

    def result(model: Node, second: float) -> Node:
        guider = edit.graph.add(
            "DualCFGGuider", model=model, cond1=positive, cond2=middle, negative=negative,
            cfg_conds=1.0, cfg_cond2_negative=second, style="regular",
        )  # fmt: skip
        return edit.sample(None, guider=guider, steps=1)

    # With both scales at 1 the prediction is the first condition's alone.
    first = edit.graph.add("BasicGuider", model=patched(edit), conditioning=positive)
    found, expected = edit.run(result(patched(edit), 1.0), edit.sample(None, guider=first, steps=1))
    assert relative_error(found, expected) < 1e-4
    # At scale 0 it is (first - second) + negative: the negative pass shows.
    relation, plain = edit.run(result(patched(edit), 0.0), result(still(edit), 0.0))
    assert relative_error(relation, plain) > APART


def test_conditioning_timestep_range(edit: Edit) -> None:
    """Two prompts that take turns, each with the source."""
    texts = [edit.with_source(edit.text(seed)) for seed in (None, 1)]
    ranges = [
        edit.graph.add("ConditioningSetTimestepRange", conditioning=text, start=start, end=end)
        for text, start, end in ((texts[0], 0.0, 0.5), (texts[1], 0.5, 1.0))
    ]
    both = edit.graph.add("ConditioningCombine", conditioning_1=ranges[0], conditioning_2=ranges[1])
    model, idle = patched(edit), edit.apply(edit.model(), edit.relation(), strength=0.0)
    found, first, plain, without, neither = edit.run(
        edit.sample(model, both),
        edit.sample(model, texts[0]),
        *[edit.sample(other, both) for other in (edit.model(), idle, still(edit))],
    )
    assert relative_error(found, first) > APART
    assert relative_error(found, neither) > APART
    assert torch.equal(plain, without)


def test_combined_conditioning_averages_edited_predictions(edit: Edit) -> None:
    texts = [edit.with_source(edit.text(seed)) for seed in (None, 1)]
    both = edit.graph.add("ConditioningCombine", conditioning_1=texts[0], conditioning_2=texts[1])
    model = patched(edit)
    found, *single = edit.run(*[edit.sample(model, text, steps=1) for text in (both, *texts)])
    assert relative_error(found, (single[0] + single[1]) / 2) < BOUND
    assert relative_error(found, edit.run(edit.sample(still(edit), both, steps=1))) > APART


def test_masked_conditioning(edit: Edit) -> None:
    texts = [edit.with_source(edit.text(seed)) for seed in (None, 1)]
    left = torch.zeros(1, 8, 12)
    left[:, :, :6] = 1
    parts = [
        edit.graph.add(
            "ConditioningSetMask", conditioning=text, mask=edit.value(mask), strength=1.0, set_cond_area="default"
        )
        for text, mask in zip(texts, (left, 1 - left), strict=True)
    ]
    both = edit.graph.add("ConditioningCombine", conditioning_1=parts[0], conditioning_2=parts[1])
    model = patched(edit)
    found, *single = edit.run(*[edit.sample(model, text, steps=1) for text in (both, *texts)])
    assert relative_error(found[..., :6], single[0][..., :6]) < BOUND
    assert relative_error(found[..., 6:], single[1][..., 6:]) < BOUND
    assert relative_error(found, edit.run(edit.sample(still(edit), both, steps=1))) > APART


@pytest.mark.parametrize("differential", [True, False])
def test_inpainting(edit: Edit, differential: bool) -> None:
    kept = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 8, 12)
    mask[:, :, 6:] = 1.0
    if differential:
        mask[:, :, 5] = 0.5
    latent = edit.graph.add("SetLatentNoiseMask", samples=edit.value({"samples": kept}), mask=edit.value(mask))
    models = [patched(edit), still(edit)]
    if differential:
        models = [edit.graph.add("DifferentialDiffusion", model=model, strength=1.0) for model in models]
    text = edit.with_source(edit.text())
    found, plain = edit.run(*[edit.sample(model, text, latent=latent) for model in models])
    assert relative_error(found[..., :5], kept[..., :5]) < BOUND
    assert relative_error(found[..., 6:], plain[..., 6:]) > APART


def test_an_area_is_edited_as_the_whole_picture_is(host: Host) -> None:
    edit = SmallEdit(host, "invert", 7, 8)
    shares = {"width": 0.75, "height": 0.5, "x": 0.25, "y": 0.375}
    part = edit.graph.add("ConditioningSetAreaPercentage", conditioning=edit.source[0], strength=1.0, **shares)
    model = edit.applied()
    whole, found, plain = edit.run(
        edit.sampled(model, edit.source[0]), edit.sampled(model, part), edit.sampled(edit.plain, edit.source[0])
    )
    place = (..., slice(6, 14), slice(4, 16))
    assert relative_error(found[place], whole[place]) < 0.2 * relative_error(plain[place], whole[place])


def test_a_picked_latent_is_refused(edit: Edit) -> None:
    sources = torch.cat([edit.source_latent(), edit.source_latent().flip(-1)])
    picked = edit.graph.add("LatentFromBatch", samples=edit.latent(batch=2), batch_index=1, length=1)
    sampled = edit.sample(patched(edit), edit.with_source(edit.text(), sources), latent=picked, noise=edit.noise(1))
    assert "2 source pictures and 1 latents" in message_of(edit, sampled, "BatchMismatchError")


@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize("part", ["tile", "rows"])
def test_parts_without_a_place_are_refused(host: Host, part: str, area: bool) -> None:
    """Tiled Diffusion calls the model on tiles of the latent, context windows on rows of the batch."""
    edit = Edit(host)
    cut = (..., slice(0, 4), slice(0, 6)) if part == "tile" else slice(0, 1)

    def tiled(apply: Any, args: dict[str, Any]) -> torch.Tensor:
        conditions = {key: value[:1] if torch.is_tensor(value) else value for key, value in args["c"].items()}
        conditions["ref_latents"] = [latent[:1] for latent in conditions["ref_latents"]]
        given = {"tile": args["c"], "rows": conditions}[part]
        result = apply(args["input"][cut], args["timestep"][:1] if part == "rows" else args["timestep"], **given)
        return torch.zeros_like(args["input"]) + result.mean()

    model = edit.run(edit.apply(edit.model(), edit.relation())).clone()
    model.set_model_unet_function_wrapper(tiled)
    text = edit.with_source(edit.text())
    if area:  # all positive prompts have one: nothing is sampled as a whole
        text = _part(edit, text, width=0.75, height=1.0, x=0.0, y=0.0)
    sampled = edit.sample(edit.value(model), text, noise=edit.noise(3, batch=2), steps=1)
    assert "called on latents of shape" in message_of(edit, sampled, "ModelMismatchError")


@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize("axis", [0, 3])
def test_context_windows_are_refused(edit: Edit, axis: int, area: bool) -> None:
    """The host calls the model on some pictures of a batch, or on columns of all."""
    text = edit.with_source(edit.text(), edit.noise(4, 4, (8, 12)))
    if area:
        text = _part(edit, text, width=0.75, height=1.0, x=0.0, y=0.0)
    settings = {
        "context_length": 2 if axis == 0 else 4, "context_overlap": 0, "context_schedule": "standard_static",
        "context_stride": 1, "closed_loop": False, "fuse_method": "flat", "dim": axis, "freenoise": False,
        "cond_retain_index_list": "", "split_conds_to_windows": False, "latent_retain_index_list": "",
        "causal_window_fix": False,
    }  # fmt: skip
    known = edit.host.node_classes["ContextWindowsManual"].INPUT_TYPES()  # later hosts have more inputs
    names = {name for inputs in known.values() for name in inputs}
    settings = {name: value for name, value in settings.items() if name in names}
    windows = edit.graph.add("ContextWindowsManual", model=patched(edit), **settings)
    sampled = edit.sample(windows, text, noise=edit.noise(3, batch=4), steps=1)
    assert "called on latents of shape" in message_of(edit, sampled, "ModelMismatchError")


def test_entries_that_are_called_one_by_one_under_all_their_names_are_refused(edit: Edit) -> None:
    def apart(apply: Any, args: dict[str, Any]) -> torch.Tensor:
        given = args["c"].items()
        calls = [
            apply(x, t, **{key: value.chunk(2)[place] if torch.is_tensor(value) else value for key, value in given})
            for place, (x, t) in enumerate(zip(args["input"].chunk(2), args["timestep"].chunk(2), strict=True))
        ]
        return torch.cat(calls)

    model = edit.run(patched(edit)).clone()
    model.set_model_unet_function_wrapper(apart)
    guider = edit.graph.add("CFGGuider", model=edit.value(model), positive=edit.text(), negative=edit.text(1), cfg=2.0)
    sampled = edit.sample(None, guider=guider, steps=1)
    assert "called on latents of shape" in message_of(edit, sampled, "ModelMismatchError")


@pytest.mark.parametrize("area", [False, True])
def test_a_guider_that_calls_no_sampler_wrapper(edit: Edit, area: bool) -> None:
    """Some packs' guiders call the sampler themselves: the negative prompt stays without the relation."""
    import comfy.model_patcher
    import comfy.samplers

    class Guider(comfy.samplers.CFGGuider):
        def inner_sample(
            self, noise: Any, latent: Any, device: Any, sampler: Any, sigmas: Any, denoise_mask: Any, callback: Any,
            disable_pbar: Any, seed: Any, **named: Any,
        ) -> Any:  # fmt: skip
            self.conds = comfy.samplers.process_conds(
                self.inner_model, noise, self.conds, device, latent, denoise_mask, seed
            )
            options = comfy.model_patcher.create_model_options_clone(self.model_options)
            extra = {"model_options": options, "seed": seed}
            found = sampler.sample(self, sigmas, extra, callback, noise, latent, denoise_mask, disable_pbar)
            return self.inner_model.process_latent_out(found.to(torch.float32))

    text = edit.with_source(edit.text())
    if area:
        text = _part(edit, text, width=0.5, height=0.5, x=0.5, y=0.5)
    model, positive, negative = edit.run(patched(edit), text, edit.text(1))
    ways = []
    for kind in (Guider, comfy.samplers.CFGGuider):
        guider = kind(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(3.0)
        ways.append(edit.sample(None, guider=edit.value(guider), steps=3))
    if area:
        assert "called on latents of shape" in message_of(edit, ways[0], "ModelMismatchError")
    else:
        found, expected = edit.run(*ways)
        assert torch.equal(found, expected)


def test_a_sampler_that_adds_noise_to_the_first_level(edit: Edit) -> None:
    from comfy.samplers import ksampler

    def sampled(end: float) -> Node:
        churning = edit.value(ksampler("euler", {"s_churn": 2.0}))
        model = patched(edit, start_percent=0.0, end_percent=end)
        return edit.sample(model, edit.with_source(edit.text()), sampler=churning, steps=4)

    torch.manual_seed(0)
    bounded = edit.run(sampled(0.9999))
    torch.manual_seed(0)
    whole = edit.run(sampled(1.0))
    assert torch.equal(bounded, whole)


def _part(edit: Edit, text: Any, **shares: float) -> Node:
    """A prompt for a part of the picture alone."""
    return edit.graph.add("ConditioningSetAreaPercentage", conditioning=text, strength=1.0, **shares)
