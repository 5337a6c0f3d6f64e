"""Trains the small autoencoder on pictures of a folder."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import torch
import torch.nn.functional as F

from relation_core.randomness import generator_of
from relation_core.scenes.landscape import SIDE, quiet_landscape
from relation_core.scenes.painting import paint
from relation_core.scenes.splits import draw_relation

from .picture_folder import PictureFolder, pixels_of, random_crops
from .pretraining import PretrainingOptions, pretrain
from .thin_autoencoder import ThinAutoencoder, taesd_tensors
from .weights_file import write_weights

_LOG = logging.getLogger(__name__)
FILE = "ae.safetensors"
_CROP = 64
_MEASURED = 64
"""Number of new pictures for measuring the signal-to-noise ratio."""
_NOISE = 0.1
"""Of the latents that the decoder sees in training: a sampled latent is never exact."""


def pretrain_landscape_autoencoder(pictures: Path, options: PretrainingOptions, encoder_steps: int = 0) -> None:
    """Train, and write ``ae.safetensors`` (float16) to the output folder.

    Args:
        pictures: a folder of them.
        options: of the loop.
        encoder_steps: after so many steps the encoder is frozen, so that latents stay what they are and other models
            can be trained on them while the decoder grows sharper; 0 for never.
    """
    torch.manual_seed(options.seed)
    model = ThinAutoencoder().to(memory_format=torch.channels_last)
    folder = PictureFolder(pictures, (SIDE, SIDE))

    def losses(step: int) -> dict[str, torch.Tensor]:
        whole = pixels_of(folder.draw(options.batch_size, options.seed, step))
        pixels = random_crops(whole, _CROP, generator_of(options.seed, "crops", step))
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        if 0 < encoder_steps <= step:
            model.encoder.eval().requires_grad_(False)
            model.norm.eval()
        latents = model.encode(pixels)
        noise = torch.randn(latents.shape, generator=generator_of(options.seed, "noise", step))
        error = model.decode(latents + _NOISE * noise) - pixels
        return {"squared": 4 * error.square().mean(), "absolute": error.abs().mean()}

    pretrain(model, losses, options, {"the pictures": folder.fingerprint(), "encoder_steps": str(encoder_steps)})
    _LOG.info("Signal to noise of new pictures: %.1f dB.", signal_to_noise(model, options.seed + 1, _MEASURED))
    write_weights(options.output / FILE, taesd_tensors(model), torch.float16)


@torch.no_grad()
def signal_to_noise(model: ThinAutoencoder, seed: int, count: int) -> float:
    """Mean PSNR in dB of reconstructed landscapes of a seed, half of them edited by trained relations."""
    model.eval()
    found: list[float] = []
    for number in range(count):
        scene = quiet_landscape(seed, number)
        picture = paint(scene) if number % 2 else draw_relation(seed, number).apply(scene)
        pixels = pixels_of([picture])
        decoded = model.decode(model.encode(pixels)).clamp(0, 1)
        found.append(-10 * math.log10(F.mse_loss(decoded, pixels).item()))
    return sum(found) / len(found)
