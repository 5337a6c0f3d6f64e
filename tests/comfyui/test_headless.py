"""The same edits in ComfyUI and with diffusers: the same files, the same seed, in float32."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from edits import CASES, GOLDEN, SCALE, SHIFT, Edit, random_state, relative_error
from PIL import Image
from safetensors.torch import save_file

from comfyui_host.graph import Node
from comfyui_host.host import Host
from relation_core.flux.schedule import level_at
from relation_core.pictures.picture_file import read_picture
from relation_tools.diffusers_host.autoencoder import decode, encode, load_autoencoder
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import FAST, EditSettings
from scripts.small_models import SmallSizes, write_models

BOUND = 1e-5
SMALL = SmallSizes(text_dim=64)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"strength": 0.7, "double_strength": 1.5, "single_strength": 0.5, "guidance": 2.0, "seed": 2**63 + 5},
    {"start": 0.4},
    {"end": 0.7, "source_scale": 0.5},
    {"long_side": 80, "steps": 3},
    {"refresh_every": 3, "steps": 8, "end": 0.7},
    {"refresh_every": 3, "steps": 8, "reuse_8bit": True},
    {"solver": "dpmpp_2m", "steps": 7},
    FAST,
]


@pytest.fixture(scope="module")
def small(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Small models in the layouts that users download, beside the golden ones."""
    written = tmp_path_factory.mktemp("models")
    write_models(written, SMALL, seed=3)
    for kind in ("diffusion_models", "loras", "vae", "clip_vision", "relation_adapter"):
        shutil.copytree(written / kind, host.model_folder(kind) / "small")
    yield "small"
    for kind in ("diffusion_models", "loras", "vae", "clip_vision", "relation_adapter"):
        shutil.rmtree(host.model_folder(kind) / "small")
    host.forget_file_lists()


def files_of(host: Host, case: str) -> ModelFiles:
    folder = {
        kind: host.model_folder(kind) / case
        for kind in ("diffusion_models", "loras", "vae", "clip_vision", "relation_adapter")
    }
    (lora,) = folder["loras"].iterdir()
    (model,) = folder["diffusion_models"].iterdir()
    (adapter,) = folder["relation_adapter"].iterdir()
    vision = folder["clip_vision"] / ("sigclip_vision_patch14_384" if case == "small" else "model")
    vae = folder["vae"] / "ae.safetensors" if case == "small" else folder["vae"].parent / "small.safetensors"
    return ModelFiles(model, adapter, vision.with_suffix(".safetensors"), vae, loras=(lora,))


def in_comfyui(
    edit: Edit,
    files: ModelFiles,
    pairs: list[tuple[str, str]],
    weights: list[float],
    source: str,
    settings: EditSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The latent in the model's space, and the picture."""
    add, models = edit.graph.add, edit.host.base / "models"

    def name(path: Path) -> str:
        return path.relative_to(models).as_posix().split("/", 1)[1]

    model = add("UNETLoader", unet_name=name(files.model), weight_dtype="default")
    model = add("LoraLoaderModelOnly", model=model, lora_name=name(files.loras[0]), strength_model=1.0)
    adapter = add("LoadRelationAdapter", adapter_name=name(files.adapter), vision_name=name(files.vision))
    relation: Node | None = None
    for (before, after), weight in zip(pairs, weights, strict=True):
        further = {"relation": relation} if relation else {}
        relation = edit.relation(
            edit.picture(before), edit.picture(after), relation_adapter=adapter, weight=weight, **further
        )
    patched = edit.apply(
        model,
        relation,
        strength=settings.strength,
        start_percent=settings.start,
        end_percent=settings.end,
        double_strength=settings.double_strength,
        single_strength=settings.single_strength,
    )
    reuse = {"refresh_every": settings.refresh_every, "reuse_8bit": settings.reuse_8bit}
    patched = add("RelationSourceReuse", model=patched, **reuse)
    empty = add("RelationEmptyPrompt", model=model)
    guided = add("FluxGuidance", conditioning=empty, guidance=settings.guidance)
    vae = add("VAELoader", vae_name=name(files.vae or files.model))
    encoded = add(
        "RelationSourceEncode",
        conditioning=guided,
        vae=vae,
        image=edit.picture(source),
        long_side=settings.long_side,
        source_scale=settings.source_scale,
    )
    sampled = add(
        "SamplerCustomAdvanced",
        noise=add("RandomNoise", noise_seed=settings.seed),
        guider=add("BasicGuider", model=patched, conditioning=encoded[0]),
        sampler=add("KSamplerSelect", sampler_name=settings.solver),
        sigmas=add("RelationScheduler", steps=settings.steps, latent=encoded[1], denoise=1.0),
        latent_image=encoded[1],
    )
    latent, picture = edit.run(sampled, add("VAEDecode", samples=sampled, vae=vae))
    return (latent - SHIFT) * SCALE, picture


def headless(
    case: str,
    files: ModelFiles,
    pairs: list[tuple[str, str]],
    weights: list[float],
    source: str,
    settings: EditSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    def picture(name: str) -> Image.Image:
        return read_picture(GOLDEN / case / f"{name}.png")

    models = load_models(files, torch.float32)
    pipeline = RelationPipeline(models, "cpu")
    relation = pipeline.relation([(picture(before), picture(after)) for before, after in pairs], weights)
    latent = pipeline.edit_latent(relation, picture(source), pipeline.prompt(""), settings)
    return latent, decode(models.flux.vae, latent)


def compare(host: Host, case: str, files: ModelFiles, settings: EditSettings, pairs: int = 1) -> None:
    names = [("before", "after"), ("after", "source")][:pairs]
    given = names, [1.0, 2.5][:pairs], "source", settings
    expected = in_comfyui(Edit(host, case), files, *given)
    found = headless(case, files, *given)
    assert relative_error(found[0], expected[0]) < BOUND
    assert float((found[1] - expected[1]).abs().max()) < BOUND


@pytest.mark.parametrize("case", CASES)
def test_the_same_edit(host: Host, case: str) -> None:
    compare(host, case, files_of(host, case), EditSettings(steps=6, long_side=96))


@pytest.mark.parametrize("changes", SETTINGS, ids=lambda changes: "-".join(changes) or "defaults")
def test_the_same_edit_with_files_as_users_have_them(host: Host, small: str, changes: dict[str, Any]) -> None:
    settings = EditSettings(**{"steps": 4, "long_side": 96, **changes})
    compare(host, "one_head", files_of(host, small), settings)


def test_several_pairs_with_weights(host: Host, small: str) -> None:
    compare(host, "one_head", files_of(host, small), EditSettings(steps=4, long_side=96), pairs=2)


def test_the_full_autoencoder(host: Host) -> None:
    """``ae.safetensors`` at its real size, with random weights."""
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    sizes = {
        "double_z": True,
        "z_channels": 16,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 128,
        "ch_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    part = "comfy.ldm.modules.diffusionmodules.model"
    with torch.device("meta"):
        module = AutoencodingEngine(
            regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
            encoder_config={"target": f"{part}.Encoder", "params": sizes},
            decoder_config={"target": f"{part}.Decoder", "params": sizes},
        )
    path = host.model_folder("vae") / "full.safetensors"
    save_file({name: tensor.half() for name, tensor in random_state(module, seed=0, gain=1.4).items()}, path)
    edit = Edit(host)
    vae = edit.graph.add("VAELoader", vae_name=path.name)
    image = torch.rand(1, 32, 48, 3, generator=torch.Generator().manual_seed(1))
    latent = edit.graph.add("VAEEncode", pixels=edit.value(image), vae=vae)
    expected, picture = edit.run(latent, edit.graph.add("VAEDecode", samples=latent, vae=vae))
    ours = load_autoencoder(path, torch.float32)
    path.unlink()
    found = encode(ours, image)
    assert relative_error(found, (expected - SHIFT) * SCALE) < BOUND
    assert float((decode(ours, found) - picture).abs().max()) < BOUND


def test_shares_of_sampling_are_comfyuis(host: Host) -> None:
    edit = Edit(host)
    sampling = edit.run(edit.model()).get_model_object("model_sampling")
    for percent in (0.0, 0.01, 0.3, 0.5, 0.999, 1.0):
        assert level_at(percent) == pytest.approx(float(sampling.percent_to_sigma(percent)), rel=1e-6)
