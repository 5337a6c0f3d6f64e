"""The same model from every form of file, and files that are something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, FluxTransformer2DModel
from golden_case import GoldenCase
from random_weights import relative_error
from safetensors.torch import load_file, save_file
from small_pipeline import full_autoencoder, golden_files, original_names, pipeline_folder, tiny_autoencoder

from relation_core.errors import CheckpointError, ModelMismatchError
from relation_core.flux.sizes import LATENT_SCALE, LATENT_SHIFT
from relation_tools.diffusers_host.autoencoder import decode, encode, load_autoencoder
from relation_tools.diffusers_host.lora_file import fuse_lora, read_lora
from relation_tools.diffusers_host.models import load_models
from relation_tools.diffusers_host.text_encoders import open_text_encoders
from relation_tools.diffusers_host.transformer_file import load_transformer

Tensors = dict[str, torch.Tensor]


def same_model(found: FluxTransformer2DModel, expected: FluxTransformer2DModel) -> bool:
    states = found.state_dict(), expected.state_dict()
    sizes = [
        {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in model.config.items()
            if key[0] != "_"
        }
        for model in (found, expected)
    ]
    return (
        sizes[0] == sizes[1]
        and states[0].keys() == states[1].keys()
        and all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    )


def written(path: Path, tensors: Tensors) -> Path:
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("form", ["diffusers file", "original file", "checkpoint", "folder", "pipeline"])
def test_a_transformer_in_every_form(case: GoldenCase, tmp_path: Path, form: str) -> None:
    source = case.folder / "transformer.safetensors"
    expected = case.transformer(lora=False)
    if form == "diffusers file":
        path = source
    elif form == "original file":
        path = written(tmp_path / "flux.safetensors", original_names(source))
    elif form == "checkpoint":
        whole = {f"model.diffusion_model.{name}": tensor for name, tensor in original_names(source).items()}
        path = written(tmp_path / "flux.safetensors", {**whole, "first_stage_model.x": torch.zeros(1)})
    elif form == "folder":
        path = tmp_path / "transformer"
        expected.save_pretrained(path)
    else:
        path = pipeline_folder(case, tmp_path / "pipeline")
    found = load_transformer(path, torch.float32)
    assert same_model(found, expected)
    assert not found.training and not any(weight.requires_grad for weight in found.parameters())


def test_a_float8_file_and_a_model_without_guidance(case: GoldenCase, tmp_path: Path) -> None:
    tensors = original_names(case.folder / "transformer.safetensors")
    small = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items() if "guidance" not in name}
    model = load_transformer(written(tmp_path / "flux.safetensors", small), torch.bfloat16)
    assert model.dtype == torch.bfloat16 and not model.config["guidance_embeds"]
    weight = model.state_dict()["x_embedder.weight"].float()
    assert torch.equal(weight, small["img_in.weight"].float())


def without(*names: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


def with_tensor(name: str, tensor: torch.Tensor) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: tensor}


@pytest.mark.parametrize("form", ["diffusers", "original"])
@pytest.mark.parametrize(
    ("names", "change", "error", "says"),
    [
        (
            ("x_embedder.bias", "img_in.bias"),
            without,
            CheckpointError,
            "is not a complete .*img_in.bias|x_embedder.bias",
        ),
        (("zzz.weight",), None, CheckpointError, "(?s)zzz.weight"),
        (("proj_out.weight", "final_layer.linear.weight"), None, CheckpointError, "is not a complete"),
        (("x_embedder.weight", "img_in.weight"), None, ModelMismatchError, "384 channels a token; expected 64"),
        (
            (
                "transformer_blocks.0.attn.norm_q.weight",
                "double_blocks.0.img_attn.norm.query_norm.scale",
            ),
            None,
            ModelMismatchError,
            "heads in .* are 64 wide; expected 128",
        ),
    ],
)
def test_transformers_that_are_refused(
    tmp_path: Path, form: str, names: tuple[str, ...], change: object, error: type[Exception], says: str
) -> None:
    case = GoldenCase.load("one_head")
    source = case.folder / "transformer.safetensors"
    tensors = load_file(source) if form == "diffusers" else original_names(source)
    name = next((name for name in names if name in tensors), names[-1])
    if change is without:
        tensors = without(name)(tensors)
    else:
        shape = {"zzz.weight": (3,), "proj_out.weight": (32, 128), "final_layer.linear.weight": (32, 128)}
        shape |= dict.fromkeys(("x_embedder.weight", "img_in.weight"), (128, 384))
        tensors = with_tensor(name, torch.zeros(shape.get(name, (64,))))(tensors)
    path = written(tmp_path / "flux.safetensors", tensors)
    with pytest.raises(error, match=says) as caught:
        load_transformer(path, torch.float32)
    assert str(path) in str(caught.value)


def test_paths_without_a_transformer(tmp_path: Path) -> None:
    case = GoldenCase.load("one_head")
    with pytest.raises(CheckpointError, match=r"holds a LoRA .*expected FLUX\.1's transformer"):
        load_transformer(case.folder / "pytorch_lora_weights.safetensors", torch.float32)
    with pytest.raises(CheckpointError, match=r"has no config\.json; expected a model as diffusers saves it"):
        load_transformer(tmp_path, torch.float32)
    with pytest.raises(CheckpointError, match="There is nothing at"):
        load_transformer(tmp_path / "none.safetensors", torch.float32)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "FluxTransformer2DModel"}))
    with pytest.raises(CheckpointError, match="does not contain a complete model: it has no weights"):
        load_transformer(tmp_path, torch.float32)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    tensors = load_file(GoldenCase.load("one_head").folder / "transformer.safetensors")
    path = written(
        tmp_path / "flux.safetensors", {**tensors, "x_embedder.weight": torch.zeros(128, 64, dtype=torch.int8)}
    )
    with pytest.raises(CheckpointError, match=r"'x_embedder.weight' .*stored as torch.int8; expected floating-point"):
        load_transformer(path, torch.float32)


@pytest.mark.parametrize("kind", ["nvfp4", "mxfp8", "int8_tensorwise"])
def test_another_quantisation_is_named_whatever_its_shapes(tmp_path: Path, kind: str) -> None:
    tensors = original_names(GoldenCase.load("one_head").folder / "transformer.safetensors")
    packed = tensors["double_blocks.0.img_mlp.0.weight"]
    tensors["double_blocks.0.img_mlp.0.weight"] = torch.zeros(packed.shape[0], packed.shape[1] // 2, dtype=torch.uint8)
    config = torch.frombuffer(bytearray(json.dumps({"format": kind}).encode()), dtype=torch.uint8)
    tensors["double_blocks.0.img_mlp.0.comfy_quant"] = config
    with pytest.raises(CheckpointError, match=f"is quantised as '{kind}', which is not read here"):
        load_transformer(written(tmp_path / "flux.safetensors", tensors), torch.float32)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["transformer", "autoencoder", "lora"])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, kind: str, value: float) -> None:
    """They would give a black picture."""
    folder = GoldenCase.load("one_head").folder
    source = (
        tiny_autoencoder(tmp_path / "tiny.safetensors") if kind == "autoencoder" else folder / f"{kind}.safetensors"
    )
    tensors = load_file(folder / "pytorch_lora_weights.safetensors" if kind == "lora" else source)
    name = sorted(tensors)[3]
    tensors[name].view(-1)[-1] = value
    path = written(tmp_path / "changed.safetensors", tensors)
    with pytest.raises(CheckpointError, match="NaN or infinite values"):
        if kind == "lora":
            fuse_lora(load_transformer(folder / "transformer.safetensors", torch.float32), read_lora(path), 1.0)
        else:
            (load_transformer if kind == "transformer" else load_autoencoder)(path, torch.float32)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("transformer", {"num_layers": 10**6}),
        ("transformer", {"num_layers": 10**4000}),
        ("transformer", {"num_attention_heads": 10**5}),
        ("transformer", {"joint_attention_dim": 2**40}),
        ("transformer", {"num_layers": 3}),
        ("vae", {"block_out_channels": [2**20] * 4}),
        ("vae", {"layers_per_block": 10**6}),
        ("text_encoder", {"num_hidden_layers": 10**6}),
        ("text_encoder", {"vocab_size": 2**34}),
        ("text_encoder_2", {"d_ff": 2**32}),
        ("text_encoder_2", {"num_layers": 10**7}),
    ],
)
def test_a_configuration_that_the_weights_contradict(tmp_path: Path, part: str, changes: dict[str, object]) -> None:
    folder = pipeline_folder(GoldenCase.load("one_head"), tmp_path / "pipeline")
    config = folder / part / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    loaders = {"transformer": load_transformer, "vae": load_autoencoder}
    with pytest.raises(CheckpointError) as caught:
        loaders.get(part, open_text_encoders)(folder, torch.float32)
    assert str(folder) in str(caught.value)


def pictures() -> torch.Tensor:
    return torch.rand(2, 32, 48, 3, generator=torch.Generator().manual_seed(3))


def test_a_tiny_autoencoder_has_the_latents_of_the_model(tmp_path: Path) -> None:
    plain = load_autoencoder(tiny_autoencoder(tmp_path / "plain.safetensors"), torch.float32)
    own = load_autoencoder(
        tiny_autoencoder(tmp_path / "own.safetensors", vae_scale=LATENT_SCALE, vae_shift=LATENT_SHIFT), torch.float32
    )
    other = load_autoencoder(
        tiny_autoencoder(tmp_path / "other.safetensors", vae_scale=0.5, vae_shift=0.3), torch.float32
    )
    assert isinstance(plain, AutoencoderTiny)
    raw = plain.encode(pictures().movedim(-1, 1) * 2 - 1).latents
    assert relative_error(encode(plain, pictures()), (raw - LATENT_SHIFT) * LATENT_SCALE) < 1e-6
    assert relative_error(encode(own, pictures()), raw) < 1e-6
    assert relative_error(encode(other, pictures()), (raw / 0.5 + 0.3 - LATENT_SHIFT) * LATENT_SCALE) < 1e-6
    for model in (plain, own, other):
        latent = encode(model, pictures())
        assert latent.shape == (2, 16, 4, 6)
        expected = plain.decode(raw).sample.movedim(1, -1).add(1).div(2).clamp(0, 1)
        assert relative_error(decode(model, latent), expected) < 1e-5


@pytest.mark.parametrize("form", ["folder", "pipeline", "file", "original file", "tiny folder"])
def test_an_autoencoder_in_every_form(tmp_path: Path, form: str) -> None:
    expected: AutoencoderKL | AutoencoderTiny = full_autoencoder()
    if form == "folder":
        expected.save_pretrained(path := tmp_path / "vae")
    elif form == "pipeline":
        path = pipeline_folder(GoldenCase.load("one_head"), tmp_path / "pipeline")
    elif form == "tiny folder":
        expected = AutoencoderTiny(latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159)
        expected.save_pretrained(path := tmp_path / "vae")
    else:
        state = expected.state_dict()
        path = written(tmp_path / "ae.safetensors", state if form == "file" else original_autoencoder(state))
    found = load_autoencoder(path, torch.float32)
    assert torch.equal(encode(found, pictures()), encode(expected, pictures()))
    latent = torch.randn(1, 16, 4, 6, generator=torch.Generator().manual_seed(4))
    assert torch.equal(decode(found, latent), decode(expected, latent))


def original_autoencoder(state: Tensors) -> Tensors:
    """Diffusers' names under those of ``ae.safetensors``."""
    renamed: Tensors = {}
    for name, tensor in state.items():
        for old, new in (
            ("mid_block.resnets.0", "mid.block_1"),
            ("mid_block.resnets.1", "mid.block_2"),
            ("mid_block.attentions.0", "mid.attn_1"),
            ("down_blocks.", "down."),
            ("resnets.", "block."),
            ("downsamplers.0", "downsample"),
            ("upsamplers.0", "upsample"),
            ("conv_shortcut", "nin_shortcut"),
            ("conv_norm_out", "norm_out"),
            ("group_norm", "norm"),
            ("to_out.0", "proj_out"),
            *((f"to_{kind}", kind) for kind in "qkv"),
        ):
            name = name.replace(old, new)  # noqa: PLW2901 - step by step
        for index in range(4):
            name = name.replace(f"up_blocks.{index}", f"up.{3 - index}")  # noqa: PLW2901
        convolution = "attn_1" in name and name.endswith("weight") and tensor.ndim == 2
        renamed[name] = tensor[:, :, None, None] if convolution else tensor
    return renamed


def test_autoencoders_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"latents of 4 channels; those of FLUX\.1 have 16"):
        load_autoencoder(tiny_autoencoder(tmp_path / "four.safetensors", channels=4), torch.float32)
    with pytest.raises(CheckpointError, match=r"holds a Flux diffusion model .*expected FLUX\.1's autoencoder"):
        load_autoencoder(GoldenCase.load("one_head").folder / "transformer.safetensors", torch.float32)
    tensors = load_file(tiny_autoencoder(tmp_path / "tiny.safetensors"))
    del tensors["taesd_encoder.14.weight"]
    with pytest.raises(
        CheckpointError, match=r"not a complete AutoencoderTiny\. Missing: 'encoder\.layers\.14\.weight'"
    ):
        load_autoencoder(written(tmp_path / "cut.safetensors", tensors), torch.float32)
    cut = without("decoder.conv_out.bias")(original_autoencoder(full_autoencoder().state_dict()))
    with pytest.raises(CheckpointError, match="not a complete AutoencoderKL"):
        load_autoencoder(written(tmp_path / "cut_full.safetensors", cut), torch.float32)


def test_a_lora_with_alphas_and_a_part_for_the_text_encoder(case: GoldenCase, tmp_path: Path) -> None:
    files = golden_files(case, tmp_path)
    lora = load_file(files.loras[0])
    layers = {name.removesuffix(".lora_A.weight") for name in lora if ".lora_A." in name}
    lora |= {f"{layer}.alpha": torch.tensor(case.meta["lora_rank"] / 2.0) for layer in layers}
    lora["text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"] = torch.zeros(4, 16)
    with_alphas = replace(files, loras=(written(tmp_path / "alphas.safetensors", lora),))
    found = load_models(with_alphas, torch.float32).flux.transformer.state_dict()
    expected = load_models(files, torch.float32, lora_strength=0.5).flux.transformer.state_dict()
    plain = case.transformer(lora=False).state_dict()
    assert found.keys() == expected.keys() == plain.keys()
    for name, tensor in expected.items():
        assert relative_error(found[name], tensor) < 1e-6, name
    assert not torch.equal(
        found["transformer_blocks.0.attn.to_q.weight"], plain["transformer_blocks.0.attn.to_q.weight"]
    )


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    case, other = GoldenCase.load("one_head"), GoldenCase.load("two_heads")
    files = golden_files(case, tmp_path)
    with pytest.raises(ModelMismatchError, match=r"5 attention blocks for 2.*1 heads for 2"):
        load_models(replace(files, adapter=other.folder / "ip_adapter.bin"), torch.float32)
    foreign = other.folder / "pytorch_lora_weights.safetensors"
    with pytest.raises(ModelMismatchError, match=r"does not fit the transformer: 10 of its 10 matrices have no place"):
        load_models(replace(files, loras=(foreign,)), torch.float32)
    lora = load_file(files.loras[0])
    further = {name.replace("transformer_blocks.1.", "transformer_blocks.7."): value for name, value in lora.items()}
    longer = written(tmp_path / "longer.safetensors", {**lora, **further})
    elsewhere = written(tmp_path / "elsewhere.safetensors", {f"unet.{name}": value for name, value in lora.items()})
    for path in (longer, elsewhere):
        with pytest.raises(
            ModelMismatchError, match=r"of its \d+ matrices have no place there, such as .*(blocks\.7|unet)"
        ):
            load_models(replace(files, loras=(path,)), torch.float32)
    with pytest.raises(CheckpointError, match=r"holds a RelationAdapter .*expected a LoRA"):
        load_models(replace(files, loras=(files.adapter,)), torch.float32)
    with pytest.raises(CheckpointError, match=r"does not hold FLUX\.1's text encoders"):
        load_models(replace(files, text=tmp_path), torch.float32)
    with pytest.raises(CheckpointError, match=r"has no config\.json|holds a Flux diffusion model"):
        load_models(replace(files, vae=None), torch.float32)


def test_a_pipeline_without_text_encoders(case: GoldenCase, tmp_path: Path) -> None:
    empty = pipeline_folder(case, tmp_path / "pipeline")
    index = json.loads((empty / "model_index.json").read_text())
    (empty / "model_index.json").write_text(json.dumps({**index, "text_encoder_2": [None, None]}))
    with pytest.raises(CheckpointError, match=r"does not hold FLUX\.1's text encoders .*text_encoder_2"):
        load_models(replace(golden_files(case, tmp_path), text=empty), torch.float32)
