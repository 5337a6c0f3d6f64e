"""The relation with other patches of the model, further passes, and other ways to hold and run it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compositions import APART, patched, samples, still
from edits import GOLDEN, Edit, random_state, relative_error
from flux_models import write_controlnet
from safetensors.torch import load_file, save_file

from comfyui_host.graph import Node
from comfyui_host.host import GraphError

BOUND = 1e-5


def test_loras_before_and_after_the_node(edit: Edit) -> None:
    plain = edit.graph.add("UNETLoader", unet_name="one_head/transformer.safetensors", weight_dtype="default")
    second = load_file(GOLDEN / "one_head" / "pytorch_lora_weights.safetensors")
    name = "second.safetensors"
    save_file(
        {key: tensor.flip(0).contiguous() for key, tensor in second.items()}, edit.host.model_folder("loras") / name
    )

    def another(model: Node) -> Node:
        return edit.graph.add("LoraLoaderModelOnly", model=model, lora_name=name, strength_model=0.7)

    both_before, both_after, around, one, neither = samples(
        edit,
        patched(edit, another(edit.lora(plain))),
        another(edit.lora(patched(edit, plain))),
        another(patched(edit, edit.lora(plain))),
        patched(edit, edit.lora(plain)),
        still(edit, another(edit.lora(plain))),
    )
    assert relative_error(both_after, both_before) < BOUND
    assert relative_error(around, both_before) < BOUND
    assert relative_error(one, both_before) > APART
    assert relative_error(neither, both_before) > APART


@pytest.mark.parametrize("modes", [0, 7])
def test_a_controlnet_reaches_target_tokens_only(edit: Edit, modes: int) -> None:
    name = write_controlnet(edit.host, f"controlnet_{modes}.safetensors", modes)
    net = edit.graph.add("ControlNetLoader", control_net_name=name)
    if modes:
        net = edit.graph.add("SetUnionControlNetType", control_net=net, type="depth")
    text = edit.with_source(edit.text())
    controlled = edit.graph.add(
        "ControlNetApplyAdvanced",
        positive=text,
        negative=edit.text(1),
        control_net=net,
        image=edit.picture("source"),
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
        vae=edit.graph.add("VAELoader", vae_name="small.safetensors"),
    )
    model = patched(edit)
    tokens = {name: after_control(edit, model, given) for name, given in (("with", controlled), ("without", text))}
    difference = (tokens["with"] - tokens["without"]).abs().amax(-1)[0]
    target = 4 * 6
    assert difference[:target].min() > 0
    assert not difference[target:].any()
    found, without, relationless = edit.run(
        edit.sample(model, controlled), edit.sample(model, text), edit.sample(still(edit), controlled)
    )
    assert relative_error(found, without) > APART
    assert relative_error(found, relationless) > APART


def after_control(edit: Edit, model: Node, text: Node) -> torch.Tensor:
    """Image tokens as they enter the second double block, where the first control has been added."""
    seen: list[torch.Tensor] = []

    def record(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        seen.append(args["img"].clone())
        return extra["original_block"](args)

    watched = edit.run(model).clone()
    watched.set_model_patch_replace(record, "dit", "double_block", 1)
    edit.run(edit.sample(edit.value(watched), text, steps=1))
    return seen[0]


def test_flux_kv_cache_is_for_flux_2(edit: Edit) -> None:
    """ComfyUI itself cannot do it on FLUX.1, with or without our node."""

    def outcome(model: Node) -> torch.Tensor | str:
        try:
            return samples(edit, edit.graph.add("FluxKVCache", model=model))
        except GraphError as error:
            return str(error)

    assert isinstance(outcome(edit.model()), str), "ComfyUI can do it by now; take its refusal out"
    refused = outcome(patched(edit))
    assert isinstance(refused, str) and "Flux KV Cache sets it for the model" in refused


@pytest.mark.parametrize("node", ["EasyCache", "LazyCache"])
def test_step_caches(edit: Edit, node: str) -> None:
    """A threshold that reuses nothing gives the exact edit; a large one skips steps, and that is no error."""

    def cached(model: Node, threshold: float) -> Node:
        return edit.graph.add(
            node, model=model, reuse_threshold=threshold, start_percent=0.1, end_percent=1.0, verbose=False
        )

    exact, expected, skipping, plain = samples(
        edit, cached(patched(edit), 0.0), patched(edit), cached(patched(edit), 3.0), cached(still(edit), 3.0), steps=12
    )
    assert relative_error(exact, expected) < BOUND
    assert relative_error(skipping, expected) > 1e-4
    assert relative_error(skipping, plain) > APART


def test_skip_layer_guidance(edit: Edit) -> None:
    settings = {"scale": 2.0, "start_percent": 0.0, "end_percent": 1.0, "rescaling_scale": 0.0}
    layers = {"double_layers": "0, 1", "single_layers": "0, 1, 2"}
    guided = [
        edit.graph.add("SkipLayerGuidanceDiT", model=model, **layers, **settings)
        for model in (patched(edit), still(edit))
    ]
    found, plain, unguided = samples(edit, *guided, patched(edit))
    assert relative_error(found, plain) > APART
    assert relative_error(found, unguided) > APART


@pytest.mark.parametrize("guidance_last", [True, False])
def test_normalised_attention_guidance(edit: Edit, guidance_last: bool) -> None:
    """After our node it guides the sum, before it the relation is added to what it guided."""

    def guided(model: Node) -> Node:
        return edit.graph.add("NAGuidance", model=model, nag_scale=3.0, nag_alpha=0.5, nag_tau=1.5)

    text, negative = edit.with_source(edit.text()), edit.with_source(edit.text(1))
    model, without = guided(patched(edit)), guided(still(edit))
    if not guidance_last:
        model, without = patched(edit, guided(edit.model())), still(edit, guided(edit.model()))
    guiders = [
        edit.graph.add("CFGGuider", model=given, positive=text, negative=negative, cfg=1.0)
        for given in (model, without, patched(edit))
    ]
    found, plain, unguided = edit.run(*[edit.sample(None, guider=guider) for guider in guiders])
    assert relative_error(found, plain) > APART
    assert relative_error(found, unguided) > APART


@pytest.mark.slow
@pytest.mark.parametrize("compile_last", [True, False])
def test_torch_compile(edit: Edit, compile_last: bool) -> None:
    def compiled(model: Node) -> Node:
        return edit.graph.add("TorchCompileModel", model=model, backend="inductor")

    base = edit.model() if compile_last else compiled(edit.model())
    for strength in (1.0, 0.4):  # what is compiled is used again with another patch
        model = patched(edit, base, strength=strength)
        found, expected = samples(
            edit, compiled(model) if compile_last else model, patched(edit, strength=strength), steps=2
        )
        assert relative_error(found, expected) < 1e-4


def test_partial_loading(edit: Edit) -> None:
    """Weights that stay offloaded and are cast when used, as with --lowvram, change nothing."""
    loaded, plain = edit.run(patched(edit), still(edit))
    x, sigma = edit.noise(1), torch.tensor([0.7])
    given = {
        "c_crossattn": edit.tensors["text"],
        "y": edit.tensors["pooled"],
        "guidance": torch.tensor([3.5]),
        "ref_latents": [edit.tensors["source_latent"]],
    }
    found = []
    for model, settings in (
        (loaded, {"full_load": True}),
        (loaded, {"lowvram_model_memory": 100_000}),
        (plain, {"lowvram_model_memory": 100_000}),
    ):
        model.unpatch_model()
        model.load(torch.device("cpu"), **settings)
        assert bool(model.model.model_lowvram) == ("lowvram_model_memory" in settings)
        with torch.inference_mode():
            options = model.model_options["transformer_options"]
            found.append(model.model.apply_model(x, sigma, transformer_options=options, **given))
        model.unpatch_model()
    assert relative_error(found[1], found[0]) < BOUND
    assert relative_error(found[1], found[2]) > APART


def test_a_second_pass_at_a_higher_resolution(edit: Edit) -> None:
    """The same relation and source: the source's positions are spread over the larger picture."""
    text, model = edit.with_source(edit.text()), patched(edit)
    first = edit.sample(model, text)
    larger = edit.graph.add(
        "LatentUpscale", samples=first, upscale_method="bislerp", width=192, height=128, crop="disabled"
    )
    sigmas = edit.graph.add("RelationScheduler", steps=6, latent=larger, denoise=0.5)
    noise = edit.noise(2, size=(16, 24))
    found, plain = edit.run(
        *[edit.sample(given, text, latent=larger, noise=noise, sigmas=sigmas) for given in (model, still(edit))]
    )
    assert found.shape == (1, 16, 16, 24)
    assert relative_error(found, plain) > APART


def test_a_tiled_pass(edit: Edit) -> None:
    """Every tile of a picture is sampled with the whole source, at half noise."""
    text, model = edit.with_source(edit.text()), patched(edit)
    whole = edit.value({"samples": torch.randn(1, 16, 16, 24, generator=torch.Generator().manual_seed(0))})
    tiles = []
    for x in (0, 96):
        tile = edit.graph.add("LatentCrop", samples=whole, width=96, height=128, x=x, y=0)
        sigmas = edit.graph.add("RelationScheduler", steps=4, latent=tile, denoise=0.5)
        noise = edit.noise(2, size=(16, 12))
        tiles += [edit.sample(m, text, latent=tile, noise=noise, sigmas=sigmas) for m in (model, still(edit))]
    left, left_plain, right, right_plain = edit.run(*tiles)
    assert left.shape == right.shape == (1, 16, 16, 12)
    assert relative_error(left, left_plain) > APART
    assert relative_error(right, right_plain) > APART
    assert relative_error(left, right) > APART


def test_an_upscale_model_on_the_result(edit: Edit) -> None:
    from spandrel.architectures.Compact import CompactArch

    state = random_state(CompactArch().load(_compact_state()).model, seed=3)
    save_file(
        {k: v.contiguous() for k, v in state.items()}, edit.host.model_folder("upscale_models") / "x2.safetensors"
    )
    vae = edit.graph.add("VAELoader", vae_name="small.safetensors")
    text = edit.with_source(edit.text())
    picture, without = (
        edit.graph.add("VAEDecode", samples=edit.sample(model, text), vae=vae) for model in (patched(edit), still(edit))
    )
    upscaler = edit.graph.add("UpscaleModelLoader", model_name="x2.safetensors")
    larger, result, plain = edit.run(
        edit.graph.add("ImageUpscaleWithModel", upscale_model=upscaler, image=picture), picture, without
    )
    assert relative_error(result, plain) > APART
    assert larger.shape == (1, 2 * result.shape[1], 2 * result.shape[2], 3)
    with torch.no_grad():
        expected = CompactArch().load(state).model(result.movedim(-1, 1)).movedim(1, -1)
    assert relative_error(larger, expected.clamp(0, 1)) < BOUND


def _compact_state() -> dict[str, torch.Tensor]:
    """The smallest Real-ESRGAN Compact of scale 2: two convolutions in the middle."""
    state: dict[str, torch.Tensor] = {}
    for index, (out, into) in {0: (8, 3), 2: (8, 8), 4: (8, 8), 6: (12, 8)}.items():
        state |= {f"body.{index}.weight": torch.zeros(out, into, 3, 3), f"body.{index}.bias": torch.zeros(out)}
    return state | {f"body.{index}.weight": torch.zeros(8) for index in (1, 3, 5)}
