"""A thin autoencoder that becomes a TAESD: the same layers, of which most channels and some blocks are zero.

TAESD (github.com/madebyollin/taesd) has 64 channels everywhere, which is slow to train on a processor. A convolution of
fewer channels is one of 64 whose other weights are zero, and a block of zeros passes on what it gets, since that is
never negative. So only a few channels are trained where pictures are large, and the exported file is a complete TAESD.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from relation_core.flux.sizes import LATENT_CHANNELS, LATENT_SCALE, LATENT_SHIFT

TAESD_WIDTH = 64
WIDTHS = (16, 32, 64)
"""Trained channels at full size, half size, and below."""
_PLACE = {
    "encoder": {0: 0, 1: 1, 2: 2, 3: 3, 4: 6, 5: 7, 6: 10, 7: 11, 8: 12, 9: 13, 10: 14},
    "decoder": {1: 1, 3: 3, 4: 4, 5: 5, 7: 7, 8: 8, 10: 12, 11: 13, 13: 17, 14: 18, 15: 19},
}
"""The number of each layer here, and in a TAESD."""


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(_convolution(width, width), nn.ReLU(), _convolution(width, width), nn.ReLU())
        self.conv.append(_convolution(width, width))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(hidden) + hidden)


class _Clamp(nn.Module):
    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return torch.tanh(latent / 3) * 3


def _convolution(into: int, out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, stride, padding=1, bias=bias)


class ThinAutoencoder(nn.Module):
    """Pictures (B, 3, height, width) in [0, 1] to latents (B, 16, height / 8, width / 8) and back.

    The latents have mean 0 and variance 1 in every channel, as flow matching wants them.
    """

    def __init__(self) -> None:
        super().__init__()
        full, half, low = WIDTHS
        self.encoder = nn.Sequential(
            *(_convolution(3, full), _Block(full)),
            *(_convolution(full, half, 2, bias=False), _Block(half)),
            *(_convolution(half, low, 2, bias=False), _Block(low)),
            *(_convolution(low, low, 2, bias=False), _Block(low), _Block(low), _Block(low)),
            _convolution(low, LATENT_CHANNELS),
        )
        self.norm = nn.BatchNorm2d(LATENT_CHANNELS, affine=False, momentum=0.01)
        self.decoder = nn.Sequential(
            *(_Clamp(), _convolution(LATENT_CHANNELS, low), nn.ReLU(), _Block(low), _Block(low), _Block(low)),
            *(nn.Upsample(scale_factor=2), _convolution(low, low, bias=False), _Block(low)),
            *(nn.Upsample(scale_factor=2), _convolution(low, half, bias=False), _Block(half)),
            *(nn.Upsample(scale_factor=2), _convolution(half, full, bias=False), _Block(full), _convolution(full, 3)),
        )

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode; in training the latents are normalised over the batch."""
        return self.norm(self.encoder(pictures))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode."""
        return self.decoder(latents)


def taesd_tensors(thin: ThinAutoencoder) -> dict[str, torch.Tensor]:
    """A whole TAESD that computes the same, under the names that ComfyUI's VAE loader knows, in float32.

    The normalisation becomes part of the encoder's last layer.
    """
    tensors: dict[str, torch.Tensor] = {}
    for part in ("encoder", "decoder"):
        for name, shape in _taesd_shapes(part).items():
            tensors[name] = torch.zeros(shape)
        state = getattr(thin, part).state_dict()
        for name, tensor in state.items():
            number, _, rest = name.partition(".")
            whole = tensors[f"taesd_{part}.{_PLACE[part][int(number)]}.{rest}"]
            whole[tuple(slice(size) for size in tensor.shape)] = tensor
    mean, variance = thin.norm.running_mean, thin.norm.running_var
    assert mean is not None and variance is not None  # noqa: S101 - a norm that keeps them
    scale = (variance + thin.norm.eps).rsqrt()
    last = "taesd_encoder.14"
    tensors[f"{last}.weight"] *= scale[:, None, None, None]
    tensors[f"{last}.bias"] = (tensors[f"{last}.bias"] - mean) * scale
    # What a host makes of FLUX.1's latents, the file undoes.
    return tensors | {"vae_scale": torch.tensor(LATENT_SCALE), "vae_shift": torch.tensor(LATENT_SHIFT)}


def thin_autoencoder(tensors: Mapping[str, torch.Tensor]) -> ThinAutoencoder | None:
    """Invert :func:`taesd_tensors`, to encode many pictures fast; None for a TAESD that is not thin."""
    thin = ThinAutoencoder().eval()
    for part in ("encoder", "decoder"):
        state = getattr(thin, part).state_dict()
        for name, tensor in state.items():
            number, _, rest = name.partition(".")
            whole = tensors[f"taesd_{part}.{_PLACE[part][int(number)]}.{rest}"]
            tensor.copy_(whole[tuple(slice(size) for size in tensor.shape)])
    thin.norm.eps = 0.0  # the file's latents are normalised already
    padded = taesd_tensors(thin)
    same = all(torch.equal(padded[name], tensors[name].float()) for name in padded if not name.startswith("vae_"))
    return thin if same else None


def _taesd_shapes(part: str) -> dict[str, tuple[int, ...]]:
    width = TAESD_WIDTH
    ends = {
        "encoder": {0: (width, 3), 14: (LATENT_CHANNELS, width)},
        "decoder": {1: (width, LATENT_CHANNELS), 19: (3, width)},
    }
    resized = {"encoder": (2, 6, 10), "decoder": (7, 12, 17)}[part]
    blocks = {"encoder": (1, 3, 4, 5, 7, 8, 9, 11, 12, 13), "decoder": (3, 4, 5, 8, 9, 10, 13, 14, 15, 18)}[part]
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (out, into) in ends[part].items():
        shapes |= {f"{number}.weight": (out, into, 3, 3), f"{number}.bias": (out,)}
    for number in resized:
        shapes[f"{number}.weight"] = (width, width, 3, 3)
    for number in blocks:
        for layer in (0, 2, 4):
            shapes |= {f"{number}.conv.{layer}.weight": (width, width, 3, 3), f"{number}.conv.{layer}.bias": (width,)}
    return {f"taesd_{part}.{name}": shape for name, shape in shapes.items()}
