"""The relation with other patches of the model, and on every kind of Flux."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from compositions import APART, assert_costs_only_the_rounding, patched, samples, still
from edits import GOLDEN, Edit, random_state, relative_error
from flux_models import PARAMS, write_controlnet, write_flux
from safetensors.torch import load_file, save_file

from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host

BOUND = 1e-5


@pytest.fixture
def edit(host: Host) -> Edit:
    return Edit(host)


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
    """Whatever the core's cache does on FLUX.1, our node changes nothing of it; where it works, the relation acts."""

    def outcome(model: Node) -> torch.Tensor | str:
        try:
            return samples(edit, edit.graph.add("FluxKVCache", model=model))
        except GraphError as error:
            return str(error)

    found, plain = outcome(patched(edit)), outcome(still(edit))
    assert isinstance(plain, str) == isinstance(outcome(edit.model()), str)
    if isinstance(plain, str):
        assert found == plain
    else:
        assert not isinstance(found, str), found
        assert relative_error(found, plain) > APART


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


@pytest.mark.parametrize("dtype", ["fp8_e4m3fn", "fp8_e5m2"])
def test_fp8_weights(edit: Edit, dtype: str) -> None:
    """Keys and values keep the dtype that is computed in; that of the weights does not reach them."""
    rounded, exact = edit.model(weight_dtype=dtype), edit.model()
    assert_costs_only_the_rounding(edit, rounded, exact)
    (patch,) = edit.run(patched(edit, edit.model(weight_dtype=dtype))).model_options["transformer_options"]["patches"][
        "attn1_patch"
    ]
    assert patch.resident.keys.dtype == torch.float32


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


# Kinds of Flux


@pytest.mark.parametrize(
    ("kind", "changes"), [("dev_and_krea_and_kontext", {}), ("schnell", {"guidance_embed": False})]
)
def test_kinds_that_work(edit: Edit, kind: str, changes: dict[str, Any]) -> None:
    name = write_flux(edit.host, f"{kind}.safetensors", **changes)
    found, plain = samples(edit, patched(edit, edit.model(name)), still(edit, edit.model(name)))
    assert relative_error(found, plain) > APART


@pytest.mark.parametrize(("kind", "channels"), [("fill", 96), ("canny_and_depth", 32)])
def test_kinds_with_further_channels_take_no_source(edit: Edit, kind: str, channels: int) -> None:
    name = write_flux(edit.host, f"{kind}.safetensors", in_channels=channels)
    model = patched(edit, edit.model(name))
    with pytest.raises(GraphError, match=r"ModelMismatchError: This Flux takes extra channels.*Use FLUX\.1-dev"):
        samples(edit, model)
    found, plain = samples(edit, model, still(edit, edit.model(name)), text=edit.text())  # without a source it runs
    assert relative_error(found, plain) > APART


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"depth": 3}, "6 attention blocks for 5"),
        ({"hidden_size": 256, "num_heads": 2}, "2 heads for 1, 256 hidden size for 128"),
        ({"context_in_dim": 48}, "48 text width for 32"),
    ],
)
def test_a_flux_of_other_sizes_is_refused(edit: Edit, changes: dict[str, Any], says: str) -> None:
    name = write_flux(edit.host, f"other_{next(iter(changes))}.safetensors", **changes)
    with pytest.raises(GraphError, match=f"does not fit the adapter.*{says}.*Use the kind of Flux"):
        edit.run(patched(edit, edit.model(name)))


@pytest.mark.parametrize("name", ["Chroma", "Flux2", "LongCatImage"])
def test_other_families_are_refused(edit: Edit, name: str) -> None:
    """Models of the host's own classes; without weights, which nothing reads before the refusal."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models

    kind = {"Chroma": "chroma", "Flux2": "flux2", "LongCatImage": "flux"}[name]
    sizes = {key: value for key, value in PARAMS.items() if key != "guidance_embed"}
    if name == "Chroma":
        sizes |= {"in_dim": 64, "out_dim": 128, "hidden_dim": 64, "n_layers": 1}
    else:
        sizes |= {"guidance_embed": False}
    config = getattr(comfy.supported_models, name)({"image_model": kind, **sizes})
    model = config.get_model({}, device="cpu")
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    with pytest.raises(GraphError, match=rf"ModelMismatchError: The model is a {name}; .* FLUX\.1 only"):
        edit.run(patched(edit, edit.value(patcher)))


# Models that do not call the hooks


class _Deaf(torch.nn.Module):
    """A Flux that takes no notice of transformer_options, as Nunchaku's does."""

    def __init__(self, flux: torch.nn.Module) -> None:
        super().__init__()
        self.flux = flux
        self.dtype = flux.dtype

    def forward(self, *args: Any, transformer_options: Any = None, **kwargs: Any) -> torch.Tensor:
        return self.flux(*args, transformer_options={}, **kwargs)


def own_model(edit: Edit) -> Any:
    """A model that no other test shares."""
    import comfy.sd

    return comfy.sd.load_diffusion_model(
        str(edit.host.base / "models/diffusion_models/one_head/transformer.safetensors")
    )


def test_a_model_that_ignores_the_hooks_is_found_on_the_first_step(edit: Edit) -> None:
    model = own_model(edit)
    model.model.diffusion_model = _Deaf(model.model.diffusion_model)
    with pytest.raises(
        GraphError, match=r"ModelMismatchError: This model \(.*_Deaf\) does not call.*Nunchaku.*Load FLUX.1"
    ):
        samples(edit, patched(edit, edit.value(model)))


def replaced_blocks(edit: Edit, doubles: int, singles: int) -> Node:
    """A model in which another pack runs the last blocks itself, past the hooks."""
    model = own_model(edit).clone()
    for kind, count, total in (("double_block", doubles, 2), ("single_block", singles, 3)):
        for index in range(total - count, total):
            model.set_model_patch_replace(lambda args, extra: args, "dit", kind, index)
    return edit.value(model)


def test_blocks_that_are_all_replaced_are_found_on_the_first_step(edit: Edit) -> None:
    with pytest.raises(GraphError, match=r"does not call ComfyUI's attention patches.*remove nodes that replace"):
        samples(edit, patched(edit, replaced_blocks(edit, 2, 3)))


def test_some_replaced_blocks_are_no_error(edit: Edit) -> None:
    """In the others the relation acts: in double blocks alone, in single blocks alone, and in both as in their sum."""
    model = replaced_blocks(edit, 1, 2)
    found, neither, plain, idle, double, single = samples(
        edit,
        patched(edit, model),
        still(edit, model),
        model,
        patched(edit, model, strength=0.0),
        patched(edit, model, single_strength=0.0),
        patched(edit, model, double_strength=0.0),
        steps=2,
    )
    assert torch.equal(idle, plain)
    for part in (found, double, single):
        assert relative_error(part, neither) > APART
    assert relative_error(double, found) > APART and relative_error(single, found) > APART


# ComfyUI-GGUF


def find_gguf() -> Path | None:
    places = [os.environ.get("COMFYUI_GGUF_PATH"), str(Path.home() / "ComfyUI-GGUF")]
    return next((Path(place) for place in places if place and (Path(place) / "loader.py").is_file()), None)


@pytest.mark.skipif(find_gguf() is None, reason="no ComfyUI-GGUF at $COMFYUI_GGUF_PATH or ~/ComfyUI-GGUF")
@pytest.mark.parametrize("quantization", ["Q8_0", "Q4_0"])
def test_gguf(edit: Edit, quantization: str) -> None:
    """Its loader's Flux, with matrices quantised by the gguf library."""
    gguf = pytest.importorskip("gguf")
    file = edit.host.model_folder("diffusion_models") / f"flux_{quantization}.gguf"
    writer = gguf.GGUFWriter(file, "flux")
    kind = gguf.GGMLQuantizationType[quantization]
    name = write_flux(edit.host, "for_gguf.safetensors")
    for key, tensor in load_file(edit.host.base / "models/diffusion_models" / name).items():
        data = tensor.numpy()
        if tensor.ndim == 2 and "in_layer" not in key and "img_in" not in key:
            writer.add_tensor(key, gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(key, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    loader = gguf_loader()
    model = loader().load_unet(file.name)[0]
    assert_costs_only_the_rounding(edit, edit.value(model), edit.model(name))


def gguf_loader() -> Any:
    import importlib.util

    place = find_gguf()
    assert place is not None
    if "comfyui_gguf" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "comfyui_gguf", place / "__init__.py", submodule_search_locations=[str(place)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules["comfyui_gguf"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["comfyui_gguf"])
    return sys.modules["comfyui_gguf"].NODE_CLASS_MAPPINGS["UnetLoaderGGUF"]
