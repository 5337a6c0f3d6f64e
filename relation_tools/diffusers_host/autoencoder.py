"""FLUX.1's autoencoder from a file or a folder, and pictures through it.

Latents here are the transformer's: (z - shift) * scale.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.loaders import single_file_utils
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

from relation_core.errors import CheckpointError
from relation_core.files.json_file import read_json
from relation_core.flux.sizes import LATENT_CHANNELS, LATENT_SCALE, LATENT_SHIFT
from relation_core.flux.source import check_latent
from relation_core.weights.checkpoint import read_checkpoint
from relation_core.weights.kinds import described
from relation_core.weights.stored_tensor import StoredTensor

from .comfy_weights import is_weight, part_of, unscaled
from .folders import first_words, has_config, open_folder, outlined_folder
from .strict_load import check_shapes, load_strictly

Autoencoder = AutoencoderKL | AutoencoderTiny
_Tensors = dict[str, torch.Tensor]
_TINY, _ORIGINAL = "taesd_decoder.1.weight", "encoder.down.0.block.0.conv1.weight"
"""Tensors that tell the layouts."""
_SCALARS = {"vae_scale": 1.0, "vae_shift": 0.0}
_PREFIXES = ("vae.", "first_stage_model.")
"""Where a whole checkpoint keeps its autoencoder."""


def load_autoencoder(path: Path, dtype: torch.dtype) -> Autoencoder:
    """Load an autoencoder.

    Args:
        path: a folder in diffusers' form, that of a whole pipeline or of the autoencoder alone; ``ae.safetensors``;
            or a tiny autoencoder as one file, in the layout that ComfyUI's VAE loader knows.
        dtype: what it computes in.

    Raises:
        CheckpointError: there is no autoencoder of FLUX.1's latents.
    """
    path = path / "vae" if has_config(path / "vae") else path
    model: Autoencoder = open_folder(_kind(path), path, dtype) if path.is_dir() else _load_file(path, dtype)
    _check_channels(model, path)
    return model.eval().requires_grad_(False)


def outlined_autoencoder(path: Path) -> Autoencoder:
    """Make an autoencoder without values, on the meta device, from the headers of its files alone.

    Args:
        path: as of :func:`load_autoencoder`.

    Raises:
        CheckpointError: as :func:`load_autoencoder`, but for what only values show.
    """
    path = path / "vae" if has_config(path / "vae") else path
    if path.is_dir():
        model: Autoencoder = outlined_folder(_kind(path), path)[0]
    else:
        model = _outlined_file(part_of(read_checkpoint(path).stored, _PREFIXES), path)
    _check_channels(model, path)
    return model


def encode(autoencoder: Autoencoder, image: torch.Tensor, device: torch.device | None = None) -> torch.Tensor:
    """Encode pictures.

    Args:
        autoencoder: the autoencoder.
        image: (B, height, width, 3) in [0, 1].
        device: where it computes; its own device by default.

    Returns:
        (B, 16, height / 8, width / 8) float32, on that device.
    """
    pixels = image.movedim(-1, 1).to(device or autoencoder.device, autoencoder.dtype).mul(2).sub(1)
    encoded: Any = autoencoder.encode(pixels)
    latent = encoded.latents if isinstance(autoencoder, AutoencoderTiny) else encoded.latent_dist.mode()
    check_latent(latent)
    return (latent.float() - autoencoder.config["shift_factor"]) * autoencoder.config["scaling_factor"]


def decode(autoencoder: Autoencoder, latent: torch.Tensor) -> torch.Tensor:
    """Decode latents (B, 16, rows, columns) to pictures (B, 8 * rows, 8 * columns, 3) in [0, 1], float32 on the CPU.

    The latents are where the autoencoder computes.
    """
    latent = latent.float() / autoencoder.config["scaling_factor"] + autoencoder.config["shift_factor"]
    return (
        cast("Any", autoencoder)
        .decode(latent.to(autoencoder.dtype))
        .sample.movedim(1, -1)
        .float()
        .cpu()
        .add(1)
        .div(2)
        .clamp(0, 1)
    )


def _kind(folder: Path) -> type[Autoencoder]:
    try:
        kind = read_json(folder / "config.json").get("_class_name")
    except (OSError, ValueError, AttributeError):
        kind = None
    return AutoencoderTiny if kind == "AutoencoderTiny" else AutoencoderKL


def _check_channels(model: Autoencoder, path: Path) -> None:
    if model.config["latent_channels"] != LATENT_CHANNELS:
        raise CheckpointError(
            f"{path} makes latents of {model.config['latent_channels']} channels; those of FLUX.1 have "
            f"{LATENT_CHANNELS}. Use ae.safetensors, FLUX.1's autoencoder."
        )


def _load_file(path: Path, dtype: torch.dtype) -> Autoencoder:
    checkpoint = read_checkpoint(path)
    stored = part_of(checkpoint.stored, _PREFIXES)
    model = _outlined_file(stored, path)  # what does not fit is refused before it is read
    weights = {name: tensor for name, tensor in stored.items() if name not in _SCALARS}
    with _complete(path):
        state = _renamed(unscaled(weights, checkpoint.metadata, path), model)
    return load_strictly(model, {name: tensor.to(dtype) for name, tensor in state.items()}, path)


def _outlined_file(stored: Mapping[str, StoredTensor], path: Path) -> Autoencoder:
    """Make the model of a file's tensors, without values, and hold their shapes against it."""
    scalars = {name: _scalar(stored.get(name), default, path) for name, default in _SCALARS.items()}
    planned = {
        name: torch.empty(tensor.shape, device="meta")
        for name, tensor in stored.items()
        if is_weight(name) and name not in _SCALARS
    }
    with _complete(path):
        model = _made(planned, scalars, path)
        shapes = _renamed(planned, model)
    check_shapes(model, {name: tuple(tensor.shape) for name, tensor in shapes.items()}, path)
    return model


@contextmanager
def _complete(path: Path) -> Generator[None]:
    """Say of what fails for want of a tensor, or for one of another shape, that the file is not complete."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} is not a complete autoencoder ({first_words(error)}). Download the file again."
        ) from error


def _made(tensors: _Tensors, scalars: Mapping[str, float], path: Path) -> Autoencoder:
    """Make the model of a file's tensors, without values."""
    if _TINY in tensors:
        return _tiny(tensors, **scalars)
    if "decoder.conv_in.weight" in tensors:
        return _full(tensors)
    raise CheckpointError(
        f"{path} holds {described(tensors)}; expected FLUX.1's autoencoder, ae.safetensors, or a tiny one."
    )


def _renamed(tensors: _Tensors, model: Autoencoder) -> _Tensors:
    """Name a file's tensors as its model does."""
    if _TINY in tensors:
        return {_tiny_name(name): tensor for name, tensor in tensors.items()}
    if _ORIGINAL in tensors:
        return cast("Any", single_file_utils).convert_ldm_vae_checkpoint(tensors, dict(model.config))
    return tensors


def _scalar(stored: StoredTensor | None, default: float, path: Path) -> float:
    value = default if stored is None else float(stored.read().float()) if stored.numel() == 1 else math.nan
    if not math.isfinite(value) or (default and not value):
        raise CheckpointError(f"{path} has no usable scale or shift. Download the file again.")
    return value


def _tiny(tensors: _Tensors, vae_scale: float, vae_shift: float) -> AutoencoderTiny:
    """Take TAESD's layout: its latents are the model's, but for the scale and the shift in the file."""
    with torch.device("meta"):
        return AutoencoderTiny(
            latent_channels=tensors[_TINY].shape[1],
            # z = encoded / scale + shift is what ComfyUI's loader gives, before it becomes the model's latent.
            scaling_factor=LATENT_SCALE / vae_scale,
            shift_factor=vae_scale * (LATENT_SHIFT - vae_shift),  # type: ignore[arg-type]
        )


def _tiny_name(name: str) -> str:
    part, index, rest = re.split(r"\.", name, maxsplit=2)
    # The decoder's first layer has no weights, and is no layer in diffusers.
    return f"{part.removeprefix('taesd_')}.layers.{int(index) - (part == 'taesd_decoder')}.{rest}"


def _full(tensors: _Tensors) -> AutoencoderKL:
    """Take the layout of ``ae.safetensors``, or diffusers' names in one file."""
    original = _ORIGINAL in tensors
    level, block = ("encoder.down", "block") if original else ("encoder.down_blocks", "resnets")
    widths: list[int] = []
    while f"{level}.{len(widths)}.{block}.0.conv1.weight" in tensors:
        widths.append(tensors[f"{level}.{len(widths)}.{block}.0.conv1.weight"].shape[0])
    config: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "block_out_channels": tuple(widths),
        "layers_per_block": sum(
            1 for name in tensors if re.fullmatch(rf"{level}\.0\.{block}\.\d+\.conv1\.weight", name)
        ),
        "latent_channels": tensors["decoder.conv_in.weight"].shape[1],
        "scaling_factor": LATENT_SCALE,
        "shift_factor": LATENT_SHIFT,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    }
    with torch.device("meta"):
        return AutoencoderKL(**config)
