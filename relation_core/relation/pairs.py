"""From exemplar pictures to a relation: sized, seen by a vision model, projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from PIL import Image

from ..adapter.adapter import RelationAdapter
from ..adapter.config import RelationConfig
from ..errors import ExemplarError
from ..pictures.thumbnails import pair_thumbnail
from ..progress import Progress
from ..vision.exemplar import Fit, resize_exemplar, vision_pixels
from .relation import Relation, encode_passes, encode_relation

Pair = tuple[Image.Image, Image.Image]
"""Before and after."""
_Picture = TypeVar("_Picture")


def pair_up(before: list[_Picture], after: list[_Picture]) -> list[tuple[_Picture, _Picture]]:
    """Put pictures before and after an edit together.

    Raises:
        ExemplarError: there are not as many of each.
    """
    if len(before) != len(after):
        raise ExemplarError(
            f"There are {len(before)} pictures before and {len(after)} after the edit; expected as many of each, in "
            "the same order. Give every exemplar pair both of its pictures."
        )
    return list(zip(before, after, strict=True))


def pair_passes(pairs: int, config: RelationConfig) -> int:
    """How often :func:`encode_pairs` reports progress."""
    return pairs + encode_passes(config)


def encode_pairs(
    adapter: RelationAdapter,
    see: Callable[[torch.Tensor], torch.Tensor],
    image_size: int,
    pairs: list[Pair],
    fit: Fit,
    weight: float,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Progress,
) -> Relation:
    """Turn exemplar pairs into a relation.

    Args:
        adapter: the adapter.
        see: the vision model: pixels (2, 3, image_size, image_size) in [-1, 1] to pooled features (2, vision_dim).
        image_size: side of the vision model's square, in pixels.
        pairs: RGB pictures of any size.
        fit: how a picture is brought to that square.
        weight: of every one of these pairs, at least 0.
        device: where to project; the result is kept on the CPU.
        dtype: of tokens, keys and values: the model's compute dtype.
        progress: called :func:`pair_passes` times; it may raise to stop.

    Raises:
        ExemplarError: the vision model is not the adapter's, or gave values that are not finite.
        CheckpointError: the adapter holds values that are not finite, or changed on disk.
    """
    pooled: list[torch.Tensor] = []
    for pair in pairs:
        pooled.append(see(vision_pixels([resize_exemplar(picture, fit) for picture in pair], image_size)))
        progress.step()
    thumbnails = torch.cat([pair_thumbnail(*pair) for pair in pairs])
    return encode_relation(adapter, torch.stack(pooled), thumbnails, weight, device, dtype, progress)
