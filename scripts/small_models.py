"""Small random models under the names of the real files, so that the shipped workflow runs on any machine.

They have the real layouts and go through the real loaders; only their sizes are small and their weights random.
The text encoders must have their real sizes, since ComfyUI knows no others: those files are mostly holes, and
encode a prompt as its words alone, without what the words have to do with one another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from .small_t5 import T5_ROWS, T5_WIDTH, write_t5_xxl
from .sparse_file import write_sparse

HEAD_DIM = 128
CLIP_L_WIDTH = 768
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class SmallSizes:
    """Sizes of the small models. The defaults make the shipped workflow's models."""

    heads: int = 2
    double_blocks: int = 2
    single_blocks: int = 2
    text_dim: int = T5_WIDTH
    tokens: int = 16
    """Exemplar tokens a picture."""
    vision_dim: int = 64
    projection_dim: int = 32
    lora_rank: int = 4

    @property
    def hidden(self) -> int:
        """Width of the Flux."""
        return self.heads * HEAD_DIM


def write_models(folder: Path, sizes: SmallSizes | None = None, seed: int = 0) -> None:
    """Write every model of the shipped workflow into ``folder``, as ComfyUI's ``models`` is laid out.

    T5-XXL is left out where ``sizes.text_dim`` is not its width.
    """
    sizes = sizes or SmallSizes()
    random = RandomWeights(seed)
    save_file(flux_tensors(sizes, random), model_path(folder, "diffusion_models", "flux1-dev.safetensors"))
    save_file(_lora(sizes, random), model_path(folder, "loras", "pytorch_lora_weights.safetensors"))
    save_file(_autoencoder(random), model_path(folder, "vae", "ae.safetensors"))
    vision = model_path(folder, "clip_vision", "sigclip_vision_patch14_384.safetensors")
    save_file(_siglip(sizes, random), vision)
    vision.with_name("config.json").write_text(json.dumps(_siglip_config(sizes)), encoding="utf-8")
    torch.save(_adapter(sizes, random), model_path(folder, "relation_adapter", "ip_adapter-100000.bin"))
    _write_clip_l(model_path(folder, "text_encoders", "clip_l.safetensors"), random)
    if sizes.text_dim == T5_WIDTH:
        words = random.normal(T5_ROWS, T5_WIDTH, std=1.0)
        write_t5_xxl(model_path(folder, "text_encoders", "t5xxl_fp16.safetensors"), words)


class RandomWeights:
    """Weights from one seed."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, std: float) -> torch.Tensor:
        """Values of a normal distribution around zero."""
        return torch.randn(shape, generator=self._generator) * std

    def matrix(self, rows: int, columns: int, gain: float = 1.0) -> torch.Tensor:
        """A matrix that keeps the size of what it multiplies, times ``gain``."""
        return self.normal(rows, columns, std=gain * columns**-0.5)

    def linear(self, name: str, rows: int, columns: int, gain: float = 1.0) -> Tensors:
        """Weight and bias of a linear layer."""
        return {
            f"{name}.weight": self.matrix(rows, columns, gain),
            f"{name}.bias": self.normal(rows, std=0.02),
        }

    def convolution(self, name: str, out: int, into: int, gain: float = 1.0, bias: bool = True) -> Tensors:
        """Weight and bias of a convolution with a kernel of 3 x 3."""
        weights = {f"{name}.weight": self.normal(out, into, 3, 3, std=gain * (9 * into) ** -0.5)}
        return {**weights, f"{name}.bias": self.normal(out, std=0.02)} if bias else weights


def model_path(folder: Path, kind: str, name: str) -> Path:
    """Where a model goes; its folder is made."""
    path = folder / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _bfloat16(tensors: Tensors) -> Tensors:
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}


def flux_tensors(sizes: SmallSizes, random: RandomWeights) -> Tensors:
    """FLUX.1 under its own names, in bfloat16."""
    width = sizes.hidden
    tensors = random.linear("img_in", width, 64) | random.linear("txt_in", width, sizes.text_dim)
    for name, columns in (("time_in", 256), ("guidance_in", 256), ("vector_in", CLIP_L_WIDTH)):
        tensors |= random.linear(f"{name}.in_layer", width, columns) | random.linear(f"{name}.out_layer", width, width)
    for index in range(sizes.double_blocks):
        for stream in ("img", "txt"):
            block = f"double_blocks.{index}.{stream}"
            tensors |= random.linear(f"{block}_mod.lin", 6 * width, width, gain=0.5)
            tensors |= random.linear(f"{block}_attn.qkv", 3 * width, width)
            tensors |= random.linear(f"{block}_attn.proj", width, width)
            tensors |= random.linear(f"{block}_mlp.0", 4 * width, width)
            tensors |= random.linear(f"{block}_mlp.2", width, 4 * width)
            tensors |= _query_key_norm(f"{block}_attn.norm")
    for index in range(sizes.single_blocks):
        block = f"single_blocks.{index}"
        tensors |= random.linear(f"{block}.modulation.lin", 3 * width, width, gain=0.5)
        tensors |= random.linear(f"{block}.linear1", 7 * width, width)
        tensors |= random.linear(f"{block}.linear2", width, 5 * width)
        tensors |= _query_key_norm(f"{block}.norm")
    tensors |= random.linear("final_layer.adaLN_modulation.1", 2 * width, width, gain=0.5)
    return _bfloat16(tensors | random.linear("final_layer.linear", 64, width))


def _query_key_norm(name: str) -> Tensors:
    return {f"{name}.{part}_norm.scale": torch.ones(HEAD_DIM) for part in ("query", "key")}


def _lora(sizes: SmallSizes, random: RandomWeights) -> Tensors:
    double = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj")
    layers = [f"transformer_blocks.{i}.attn.{name}" for i in range(sizes.double_blocks) for name in double]
    layers += [f"single_transformer_blocks.{i}.attn.{name}" for i in range(sizes.single_blocks) for name in double[:3]]
    tensors: Tensors = {}
    for layer in layers:
        tensors[f"transformer.{layer}.lora_A.weight"] = random.matrix(sizes.lora_rank, sizes.hidden)
        tensors[f"transformer.{layer}.lora_B.weight"] = random.matrix(sizes.hidden, sizes.lora_rank, gain=0.5)
    return _bfloat16(tensors)


def _autoencoder(random: RandomWeights) -> Tensors:
    """A tiny autoencoder of FLUX.1's latent space (TAESD's layout), which ComfyUI's VAE loader knows by its names."""
    encoder, decoder = "taesd_encoder", "taesd_decoder"
    tensors = random.convolution(f"{encoder}.0", 64, 3, gain=2.0)
    tensors |= random.convolution(f"{encoder}.14", 16, 64, gain=2.0)
    tensors |= random.convolution(f"{decoder}.1", 64, 16)
    tensors |= random.convolution(f"{decoder}.19", 3, 64, gain=0.2)
    tensors[f"{decoder}.19.bias"] = torch.full((3,), 0.5)
    for owner, steps in ((encoder, (2, 6, 10)), (decoder, (7, 12, 17))):
        for index in steps:  # where the size changes
            tensors |= random.convolution(f"{owner}.{index}", 64, 64, gain=1.2, bias=False)
    blocks = [f"{encoder}.{index}" for index in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13)]
    blocks += [f"{decoder}.{index}" for index in (3, 4, 5, 8, 9, 10, 13, 14, 15, 18)]
    for block in blocks:
        for layer, gain in ((0, 1.4), (2, 1.4), (4, 0.4)):
            tensors |= random.convolution(f"{block}.conv.{layer}", 64, 64, gain=gain)
    return tensors | {"vae_scale": torch.tensor(0.3611), "vae_shift": torch.tensor(0.1159)}


def _siglip_config(sizes: SmallSizes) -> dict[str, object]:
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": sizes.vision_dim,
        "intermediate_size": 2 * sizes.vision_dim,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 56,
        "patch_size": 14,
        "num_channels": 3,
        "layer_norm_eps": 1e-6,
        "hidden_act": "gelu_pytorch_tanh",
    }


def _siglip(sizes: SmallSizes, random: RandomWeights) -> Tensors:
    width = sizes.vision_dim
    model, head = "vision_model", "vision_model.head"
    tensors = {
        f"{model}.embeddings.patch_embedding.weight": random.normal(width, 3, 14, 14, std=0.05),
        f"{model}.embeddings.patch_embedding.bias": random.normal(width, std=0.02),
        f"{model}.embeddings.position_embedding.weight": random.normal(16, width, std=0.5),
        f"{head}.probe": random.normal(1, 1, width, std=1.0),
        f"{head}.attention.in_proj_weight": random.matrix(3 * width, width),
        f"{head}.attention.in_proj_bias": random.normal(3 * width, std=0.02),
    }
    tensors |= random.linear(f"{head}.attention.out_proj", width, width)
    layers = [f"{model}.encoder.layers.{index}" for index in range(2)]
    for layer in layers:
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            tensors |= random.linear(f"{layer}.self_attn.{name}", width, width)
    for owner in (head, *layers):
        tensors |= random.linear(f"{owner}.mlp.fc1", 2 * width, width)
        tensors |= random.linear(f"{owner}.mlp.fc2", width, 2 * width)
    norms = [f"{layer}.layer_norm{index}" for layer in layers for index in (1, 2)]
    for name in (f"{model}.post_layernorm", f"{head}.layernorm", *norms):
        tensors |= {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
    return tensors


def _adapter(sizes: SmallSizes, random: RandomWeights) -> dict[str, Tensors]:
    """The released file's layout."""
    projection = random.linear("proj.0", sizes.projection_dim, sizes.vision_dim)
    projection |= random.linear("proj.2", sizes.tokens * sizes.text_dim, sizes.projection_dim)
    projection |= {"norm.weight": torch.ones(sizes.text_dim), "norm.bias": torch.zeros(sizes.text_dim)}
    blocks: Tensors = {}
    for index in range(sizes.double_blocks + sizes.single_blocks):
        for part in ("k", "v"):
            blocks[f"{index}.to_{part}_ip.weight"] = random.matrix(sizes.hidden, sizes.text_dim)
    return {"image_proj": _bfloat16(projection), "ip_adapter": _bfloat16(blocks)}


def _write_clip_l(path: Path, random: RandomWeights) -> None:
    width = CLIP_L_WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (49408, width),
        "text_model.embeddings.position_embedding.weight": (77, width),
        "text_projection.weight": (width, width),
    }
    norms = ["text_model.final_layer_norm"]
    for index in range(12):
        layer = f"text_model.encoder.layers.{index}"
        norms += [f"{layer}.layer_norm1", f"{layer}.layer_norm2"]
        matrices = {f"self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
        matrices |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
        for name, shape in matrices.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    shapes |= {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
    written = {
        "text_model.embeddings.position_embedding.weight": random.normal(77, width, std=1.0).half(),
        "text_model.final_layer_norm.weight": torch.ones(width).half(),
    }
    write_sparse(path, shapes, "F16", written)
