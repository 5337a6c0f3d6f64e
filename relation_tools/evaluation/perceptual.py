"""LPIPS (Zhang et al. 2018) by the library ``lpips``; its trunk's weights come from the disk, never by a download."""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from relation_core.errors import CheckpointError
from relation_core.weights.checkpoint import SUFFIXES, read_checkpoint

from .errors import EvaluationError
from .model_folder import device
from .sample_pictures import SamplePictures
from .scorer import Maker, Values

TRUNKS = {
    "alex": ("alexnet", "alexnet-owt-7be5be79.pth"),
    "vgg": ("vgg16", "vgg16-397923af.pth"),
    "squeeze": ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
}
"""By the library's names: torchvision's name, and the file of its weights."""
_ADDRESS = "https://download.pytorch.org/models"
_LEAST_SIDE = 32
"""Pixels that the trunks' poolings leave something of."""
_MOST_PIXELS = 1 << 24
"""That are compared at a time."""
_FIRST: dict[tuple[int, ...], str] = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}
"""The trunk, by the shape of its first layer."""


class Perceptual:
    """An LPIPS network.

    Args:
        weights: ``alex``, ``vgg`` or ``squeeze``, whose weights torchvision has downloaded before; or a file of such
            weights, or a folder that holds one.
    """

    def __init__(self, weights: str) -> None:
        path = weights_file(weights)
        try:
            tensors = read_checkpoint(path).tensors
        except CheckpointError as error:
            raise EvaluationError(f"Cannot load LPIPS: {error}") from error
        net = _trunk_of(tensors, path)
        library: Any = importlib.import_module("lpips")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torchvision, about how the library calls it
            network = library.LPIPS(net=net, pnet_rand=True, verbose=False)
        trunk = _named(network.net.state_dict(), tensors, path)
        network.net.load_state_dict(trunk)
        self._device = device()
        self._network = network.to(self._device).eval()
        version = importlib.metadata.version("lpips")
        self.maker = Maker(f"{net}, lpips {version}", f"{version} {_fingerprint(trunk)}")

    @torch.no_grad()
    def distances(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[float]:
        """Compare pairs of pictures from :func:`perceived`; those of one size together."""
        by_size: dict[torch.Size, list[int]] = defaultdict(list)
        for index, (first, _) in enumerate(pairs):
            by_size[first.shape].append(index)
        found = [0.0] * len(pairs)
        for shape, indices in by_size.items():
            most = max(1, _MOST_PIXELS // shape[1:].numel())
            for start in range(0, len(indices), most):
                part = indices[start : start + most]
                first, second = (torch.stack([pairs[index][side] for index in part]) for side in (0, 1))
                distances = self._network(first.to(self._device), second.to(self._device)).flatten().tolist()
                for index, distance in zip(part, distances, strict=True):
                    found[index] = distance
        return found


class PerceptualScorer:
    """Gives LPIPS between result and target, and between result and source."""

    name = "lpips"

    def __init__(self, network: Perceptual) -> None:
        self._network = network
        self.maker = network.maker

    def prepare(self, pictures: SamplePictures) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Result, target and source, in the result's size."""
        shown = (pictures.result, pictures.fitted_target, pictures.fitted_source)
        result, target, source = map(perceived, shown)
        return result, target, source

    def score(self, prepared: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> list[Values]:
        """Score samples."""
        to_target = self._network.distances([(result, target) for result, target, _ in prepared])
        to_source = self._network.distances([(result, source) for result, _, source in prepared])
        return [{"lpips": wanted, "lpips_source": kept} for wanted, kept in zip(to_target, to_source, strict=True)]


def perceived(picture: Image.Image) -> torch.Tensor:
    """Turn an RGB picture into what LPIPS sees: (3, height, width) in [-1, 1].

    Raises:
        EvaluationError: it is too small.
    """
    if min(picture.size) < _LEAST_SIDE:
        raise EvaluationError(
            f"A result of {picture.width}x{picture.height} pixels has no LPIPS; expected at least "
            f"{_LEAST_SIDE}x{_LEAST_SIDE}."
        )
    return torch.from_numpy(np.array(picture, dtype=np.float32)).movedim(-1, 0) / 127.5 - 1


def weights_file(weights: str) -> Path:
    """Find the file of a trunk's weights.

    Raises:
        EvaluationError: it is not there; the message says where to get it.
    """
    if weights in TRUNKS:
        name, file = TRUNKS[weights]
        path = Path(torch.hub.get_dir()) / "checkpoints" / file
        if path.is_file():
            return path
        raise EvaluationError(
            f"LPIPS needs torchvision's weights of {name}, which are not on this machine: there is no '{path}'. "
            f"Download {_ADDRESS}/{file} to there, or give the file: --lpips path/to/{file}."
        )
    path = Path(weights)
    found = [one for one in sorted(path.iterdir()) if one.suffix in SUFFIXES] if path.is_dir() else [path]
    if len(found) == 1 and found[0].exists():
        return found[0]
    what = f"{len(found)} files of weights in the folder" if path.is_dir() else "no file"
    raise EvaluationError(
        f"LPIPS needs the weights of a trunk; there is {what} '{path}'. Expected one file, such as "
        f"{_ADDRESS}/{TRUNKS['alex'][1]}, or one of {', '.join(TRUNKS)}."
    )


def _trunk_of(tensors: Mapping[str, torch.Tensor], path: Path) -> str:
    """Tell a trunk by its first layer; VGG's and SqueezeNet's are alike, and only VGG has a 28th."""
    first = tensors.get("features.0.weight")
    found = _FIRST.get(tuple(first.shape)) if first is not None else None
    if found == "vgg" and "features.28.weight" not in tensors:
        found = "squeeze"
    if found is None:
        raise EvaluationError(
            f"'{path}' holds no weights of AlexNet, VGG-16 or SqueezeNet 1.1 as torchvision names them (there is no "
            f"'features.0.weight' of their shapes). Download {_ADDRESS}/{TRUNKS['alex'][1]}."
        )
    return found


def _named(
    wanted: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], path: Path
) -> dict[str, torch.Tensor]:
    """Give the library's trunk its weights: ``slice2.3.weight`` there is torchvision's ``features.3.weight``."""
    found: dict[str, torch.Tensor] = {}
    for name, expected in wanted.items():
        original = f"features.{name.partition('.')[2]}"
        tensor = tensors.get(original)
        if tensor is None or tensor.shape != expected.shape or not bool(tensor.isfinite().all()):
            what = "missing" if tensor is None else f"of shape {tuple(tensor.shape)} or not finite"
            raise EvaluationError(
                f"'{path}' is not a trunk of LPIPS: '{original}' is {what}; expected {tuple(expected.shape)}. "
                "Download the file again."
            )
        found[name] = tensor.float()
    return found


def _fingerprint(trunk: Mapping[str, torch.Tensor]) -> str:
    """Hash weights, whatever file they came from."""
    digest = blake2b(digest_size=8)
    for name, tensor in sorted(trunk.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
