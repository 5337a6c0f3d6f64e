"""Trains the small autoencoder on synthetic pictures."""

from __future__ import annotations

import logging
import math

import torch
import torch.nn.functional as F

from relation_core.randomness import generator_of

from .pretraining import PretrainingOptions, pretrain
from .synthetic_pictures import synthetic_pictures
from .thin_autoencoder import ThinAutoencoder, taesd_tensors
from .weights_file import write_weights

_LOG = logging.getLogger(__name__)
FILE = "ae.safetensors"
_NOISE = 0.1
"""Of the latents that the decoder sees in training: a sampled latent is never exact."""

_MEASURED = 200
"""New pictures that the signal to noise is measured on."""


def pretrain_autoencoder(options: PretrainingOptions) -> None:
    """Train, and write ``ae.safetensors`` (float16) to the output folder."""
    torch.manual_seed(options.seed)
    model = ThinAutoencoder().to(memory_format=torch.channels_last)

    def losses(step: int) -> dict[str, torch.Tensor]:
        pictures = synthetic_pictures(options.seed, step, options.batch_size).pixels()
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        latents = model.encode(pictures)
        noise = torch.randn(latents.shape, generator=generator_of(options.seed, "noise", step))
        error = model.decode(latents + _NOISE * noise) - pictures
        return {"squared": 4 * error.square().mean(), "absolute": error.abs().mean()}

    pretrain(model, losses, options)
    error = reconstruction_error(model, options.seed + 1, _MEASURED)
    _LOG.info("Signal to noise of reconstructed new pictures: %.1f dB.", -10 * math.log10(error))
    write_weights(options.output / FILE, taesd_tensors(model), torch.float16)


def reconstruction_error(model: ThinAutoencoder, seed: int, count: int) -> float:
    """Mean squared error over new pictures, without noise."""
    pictures = synthetic_pictures(seed, 0, count).pixels()
    with torch.no_grad():
        return F.mse_loss(model.decode(model.encode(pictures)).clamp(0, 1), pictures).item()
