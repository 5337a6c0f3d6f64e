"""FLUX.1's transformer from a file or a folder, under diffusers' names or those of ComfyUI's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.loaders import single_file_utils
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

from relation_core.adapter.config import FLOAT_DTYPES
from relation_core.errors import CheckpointError, ModelMismatchError, RelationAdapterError
from relation_core.flux.sizes import HEAD_DIM, TOKEN_CHANNELS
from relation_core.weights.checkpoint import read_checkpoint
from relation_core.weights.kinds import described, quoted, shortened
from relation_core.weights.stored_tensor import StoredTensor

from .comfy_weights import has_scale, is_weight, original_norm_names, part_of, quantisations, unscaled
from .folders import first_words, has_config, open_folder, outlined_folder
from .gguf_file import GgufTensor, is_gguf, read_gguf
from .gguf_transformer import fill, loaded
from .quantisation import is_stored_quantised
from .strict_load import check_shapes, load_strictly

_Tensors = dict[str, torch.Tensor]
_ORIGINAL, _DIFFUSERS = "double_blocks.0.img_attn.qkv.weight", "transformer_blocks.0.attn.to_q.weight"
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "model.model.", "net.", "model.")
"""Where a whole checkpoint, with text encoders and autoencoder, keeps its transformer, and so does what ComfyUI saves;
and what else ComfyUI takes before the names."""
_FLOATS = (*FLOAT_DTYPES, torch.float8_e4m3fn, torch.float8_e5m2)
_SCALED = (torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2)
_DIFFUSERS_HIDDEN = 3072


def load_transformer(path: Path, dtype: torch.dtype) -> FluxTransformer2DModel:
    """Load a transformer.

    Sizes come from the folder's ``config.json``, or else from the tensors. Nothing is downloaded.

    Args:
        path: a folder in diffusers' form, that of a whole pipeline or of the transformer alone; or one file, a GGUF
            among them, in diffusers' names or in the original ones that ComfyUI's files have.
        dtype: what it computes in.

    Raises:
        CheckpointError: there is no whole FLUX.1 transformer.
        ModelMismatchError: it takes more than a noisy latent, as FLUX.1-Fill does, or is another kind of Flux.
    """
    path = path / "transformer" if has_config(path / "transformer") else path
    if path.is_dir():
        model: FluxTransformer2DModel = open_folder(FluxTransformer2DModel, path, dtype)
        _check_channels(model.config["in_channels"], path)
    else:
        model = _load_file(path, dtype)
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Outline:
    """A transformer without values."""

    model: FluxTransformer2DModel
    """On the meta device."""
    packed: tuple[StoredTensor, ...] = ()
    """All its tensors as they are stored and held, if its file or folder is quantised."""
    is_gguf: bool = False


def outlined(path: Path) -> Outline:
    """Make a transformer without values, from the headers of its files alone.

    Args:
        path: as of :func:`load_transformer`.

    Raises:
        CheckpointError: as :func:`load_transformer`, but for what only values show.
        ModelMismatchError: it is another kind of Flux.
    """
    path = path / "transformer" if has_config(path / "transformer") else path
    if path.is_dir():
        made: tuple[FluxTransformer2DModel, Mapping[str, StoredTensor]] = outlined_folder(FluxTransformer2DModel, path)
        _check_channels(made[0].config["in_channels"], path)
        return Outline(made[0], tuple(made[1].values()) if is_stored_quantised(path) else ())
    if is_gguf(path):
        found = _gguf_tensors(path)
        return Outline(_planned(_outlines(found), path), tuple(one.stored for one in found.values()), True)
    return Outline(_planned(_outlines(_file_tensors(path)[0]), path))


def _outlines(tensors: Mapping[str, Any]) -> _Tensors:
    return {name: torch.empty(one.shape, device="meta") for name, one in tensors.items() if is_weight(name)}


def _check_channels(channels: int, path: Path) -> None:
    if channels != TOKEN_CHANNELS:
        raise ModelMismatchError(
            f"{path} takes {channels} channels a token; expected {TOKEN_CHANNELS}. FLUX.1-Fill, -Canny and -Depth take "
            "further pictures beside the latent: use FLUX.1-dev or a fine-tune of it."
        )


def _load_file(path: Path, dtype: torch.dtype) -> FluxTransformer2DModel:
    if is_gguf(path):
        return _load_gguf(path, dtype)
    stored, metadata = _file_tensors(path)
    model = _planned(_outlines(stored), path)  # what does not fit is refused before it is read
    tensors = unscaled(stored, metadata, path, dtype)
    return load_strictly(model, _in_diffusers_names(tensors, path) if _ORIGINAL in tensors else tensors, path)


def _file_tensors(path: Path) -> tuple[dict[str, StoredTensor], Mapping[str, str]]:
    """Find the tensors of a file that is no GGUF, and its metadata; nothing is read beyond the header."""
    checkpoint = read_checkpoint(path)
    stored = original_norm_names(part_of(checkpoint.stored, _PREFIXES))
    _check_kind(stored, path)
    _check_dtypes(stored, quantisations(stored, checkpoint.metadata, path), path)
    return stored, checkpoint.metadata


def _gguf_tensors(path: Path) -> dict[str, GgufTensor]:
    found = original_norm_names(part_of(read_gguf(path), _PREFIXES))
    _check_kind(found, path)
    return found


def _load_gguf(path: Path, dtype: torch.dtype) -> FluxTransformer2DModel:
    found = _gguf_tensors(path)
    model = _planned(_outlines(found), path)
    tensors = loaded(found, dtype)
    return fill(model, _in_diffusers_names(tensors, path) if _ORIGINAL in tensors else tensors, path, dtype)


def _check_kind(tensors: Mapping[str, Any], path: Path) -> None:
    if not ({_ORIGINAL, _DIFFUSERS} & tensors.keys()):
        raise CheckpointError(
            f"{path} holds {described(tensors)}; expected FLUX.1's transformer, such as flux1-dev.safetensors."
        )


def _check_dtypes(stored: Mapping[str, StoredTensor], packed: Mapping[str, str], path: Path) -> None:
    for name, tensor in stored.items():
        scaled = name.removesuffix(".weight") in packed or has_scale(name, stored)
        if is_weight(name) and scaled and tensor.dtype not in _SCALED:
            raise CheckpointError(
                f"{quoted(name)} in {path} is {tensor.dtype} with a scale; expected float8. Download the file again, "
                "or use one that is not quantised."
            )
        if is_weight(name) and tensor.dtype not in _FLOATS and not scaled:
            raise CheckpointError(
                f"{quoted(name)} in {path} is stored as {tensor.dtype}; expected floating-point numbers. Use a file "
                "that is not quantised, or one in float8, plain or scaled."
            )


def _planned(tensors: _Tensors, path: Path) -> FluxTransformer2DModel:
    """Make the model that the tensors, which are without values, are of.

    Raises:
        CheckpointError: they are not those of a FLUX.1.
    """
    try:
        if _ORIGINAL in tensors:
            tensors = _in_diffusers_names(tensors, path)
        config = _infer_config(tensors, path)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, RelationAdapterError):
            raise
        raise CheckpointError(
            f"{path} is not a complete FLUX.1 transformer ({first_words(error)}). Download the file again, or use "
            "the original one."
        ) from error
    with torch.device("meta"):
        model = FluxTransformer2DModel(**config)
    check_shapes(model, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    return model


def _infer_config(tensors: _Tensors, path: Path) -> dict[str, Any]:
    """Read the sizes from tensors in diffusers' names."""

    def blocks(kind: str) -> int:
        return len({name.split(".")[1] for name in tensors if name.startswith(f"{kind}.")})

    head_dim = tensors["transformer_blocks.0.attn.norm_q.weight"].shape[0]
    if head_dim != HEAD_DIM:
        raise ModelMismatchError(
            f"The attention heads in {path} are {head_dim} wide; expected {HEAD_DIM}, as in every FLUX.1. Use "
            "FLUX.1-dev or a fine-tune of it."
        )
    hidden, channels = tensors["x_embedder.weight"].shape
    _check_channels(channels, path)
    return {
        "in_channels": channels,
        "num_layers": blocks("transformer_blocks"),
        "num_single_layers": blocks("single_transformer_blocks"),
        "num_attention_heads": hidden // head_dim,
        "joint_attention_dim": tensors["context_embedder.weight"].shape[1],
        "pooled_projection_dim": tensors["time_text_embed.text_embedder.linear_1.weight"].shape[1],
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in tensors,
    }


def _in_diffusers_names(tensors: _Tensors, path: Path) -> _Tensors:
    """Convert with diffusers' own table.

    It assumes a hidden size of 3072 in one place, where it splits the single-stream blocks' first matrix. So that
    matrix is split here, and the table gets an empty one of that height.
    """
    hidden = tensors["img_in.weight"].shape[0]
    parts = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
    apart: _Tensors = {}
    for name in [name for name in tensors if ".linear1." in name]:
        _, index, _, kind = name.split(".")
        split = torch.split(tensors[name], [hidden, hidden, hidden, 4 * hidden])
        apart |= {
            f"single_transformer_blocks.{index}.{part}.{kind}": value for part, value in zip(parts, split, strict=True)
        }
        tensors[name] = torch.empty(7 * _DIFFUSERS_HIDDEN, device="meta")
    library = cast("Any", single_file_utils)  # untyped
    converted: _Tensors = library.convert_flux_transformer_checkpoint_to_diffusers(tensors)
    if tensors:  # the table removes the names it knows
        raise CheckpointError(
            f"{path} has tensors that no FLUX.1 has: {shortened(sorted(tensors))}. Use FLUX.1-dev or a fine-tune of it "
            "in bfloat16, float16, float32 or float8."
        )
    return {**converted, **apart}
