"""Small random models that only some of the shipped workflows need, in the layouts of the real files."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from .small_models import RandomWeights, SmallSizes, Tensors, flux_tensors, model_path
from .small_t5 import T5_ROWS, T5_WIDTH, write_t5_xxl


def write_extra_models(folder: Path, sizes: SmallSizes | None = None, seed: int = 1) -> None:
    """Write them beside those of :func:`scripts.small_models.write_models`.

    T5-XXL is left out where ``sizes.text_dim`` is not its width.
    """
    sizes = sizes or SmallSizes()
    random = RandomWeights(seed)
    flux = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in flux_tensors(sizes, random).items()}
    save_file(flux, model_path(folder, "diffusion_models", "flux1-dev-fp8.safetensors"))
    if sizes.text_dim == T5_WIDTH:
        words = random.normal(T5_ROWS, T5_WIDTH, std=1.0)
        write_t5_xxl(model_path(folder, "text_encoders", "t5xxl_fp8_e4m3fn_scaled.safetensors"), words, scaled=True)
    save_file(_controlnet(sizes, random), model_path(folder, "controlnet", "flux-canny-controlnet-v3.safetensors"))
    save_file(_upscaler(random), model_path(folder, "upscale_models", "RealESRGAN_x4plus.safetensors"))


def _controlnet(sizes: SmallSizes, random: RandomWeights) -> Tensors:
    """XLabs' layout: FLUX.1's own double blocks, a stack of convolutions for the hint, and one output a block."""
    parts = ("double_blocks.", "img_in.", "txt_in.", "time_in.", "vector_in.", "guidance_in.")
    tensors = {name: tensor for name, tensor in flux_tensors(sizes, random).items() if name.startswith(parts)}
    added = random.linear("pos_embed_input", sizes.hidden, 64)
    for index in range(sizes.double_blocks):
        added |= random.linear(f"controlnet_blocks.{index}", sizes.hidden, sizes.hidden)
    for index in range(0, 16, 2):
        added |= random.convolution(f"input_hint_block.{index}", 16, 16 if index else 3, gain=1.4)
    return tensors | {name: tensor.to(torch.bfloat16) for name, tensor in added.items()}


def _upscaler(random: RandomWeights, width: int = 8) -> Tensors:
    """Real-ESRGAN's layout, with one block of the real 23 and an eighth of its width; the growth is always 32."""
    growth = 32
    tensors = random.convolution("conv_first", width, 3)
    for dense in (1, 2, 3):
        block = f"body.0.rdb{dense}"
        for index in range(1, 5):
            tensors |= random.convolution(f"{block}.conv{index}", growth, width + (index - 1) * growth)
        tensors |= random.convolution(f"{block}.conv5", width, width + 4 * growth)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        tensors |= random.convolution(name, width, width)
    return tensors | random.convolution("conv_last", 3, width)
