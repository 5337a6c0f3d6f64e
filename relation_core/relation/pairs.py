"""From exemplar pictures to a relation: resize, encode with the vision model, project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from PIL import Image

from ..adapter.adapter import RelationAdapter
from ..errors import ExemplarError
from ..pictures.thumbnails import pair_thumbnail
from ..progress import Progress, Silent
from ..vision.exemplar import Fit, resize_exemplar, vision_pixels
from ..vision.vision_model import VisionModel
from .limits import check_pair_count, check_weight
from .relation import Relation, encode_relation
from .tokens import pair_tokens

Pair = tuple[Image.Image, Image.Image]
"""Before and after."""
_Picture = TypeVar("_Picture")


@dataclass(frozen=True)
class EncodedPairs:
    """The tokens of P exemplar pairs, without keys and values."""

    tokens: torch.Tensor
    """(P, 2N, D), on the CPU."""
    thumbnails: torch.Tensor
    """(P, height, width, 3) uint8."""


def pair_up(before: list[_Picture], after: list[_Picture]) -> list[tuple[_Picture, _Picture]]:
    """Pair the pictures before and after an edit.

    Raises:
        ExemplarError: their numbers differ.
    """
    if len(before) != len(after):
        raise ExemplarError(
            f"There are {len(before)} pictures before and {len(after)} after the edit; expected the same number of "
            "each, in the same order. Give both pictures of every exemplar pair."
        )
    return list(zip(before, after, strict=True))


def encode_pairs(
    adapter: RelationAdapter,
    vision: VisionModel,
    pairs: list[Pair],
    fit: Fit,
    weight: float,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Relation:
    """Turn exemplar pairs into a relation.

    Args:
        adapter: the adapter.
        vision: the vision model that the adapter was trained with.
        pairs: RGB pictures of any size.
        fit: how a picture is fitted to the vision model's square.
        weight: of each of these pairs, at least 0.
        device: where to project; the result is kept on the CPU.
        dtype: of tokens, keys and values: the model's compute dtype.
        progress: one step a pair, then those of :func:`encode_relation`; it may raise to stop.

    Raises:
        ExemplarError: the vision model is not the adapter's, or returned NaN or infinite values; the weight is invalid,
        or there are too many pairs.
        CheckpointError: the adapter holds values that are not finite, or changed on disk.
    """
    check_pair_count(len(pairs))
    check_weight(weight)
    progress = progress or Silent()
    progress.start(len(pairs) + adapter.config.tokens + adapter.config.blocks)
    pooled, thumbnails = _seen(vision, pairs, fit, progress)
    return encode_relation(adapter, pooled, thumbnails, weight, device, dtype, progress)


def encode_tokens(
    adapter: RelationAdapter,
    vision: VisionModel,
    pairs: list[Pair],
    fit: Fit,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> EncodedPairs:
    """Turn any number of exemplar pairs into their tokens, as :func:`encode_pairs` does.

    Raises:
        ExemplarError: the vision model is not the adapter's, or returned NaN or infinite values.
        CheckpointError: the adapter changed on disk.
    """
    progress = progress or Silent()
    progress.start(len(pairs) + adapter.config.tokens)
    pooled, thumbnails = _seen(vision, pairs, fit, progress)
    return EncodedPairs(pair_tokens(adapter, pooled, device, dtype, progress), thumbnails)


def _seen(vision: VisionModel, pairs: list[Pair], fit: Fit, progress: Progress) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled features (P, 2, vision_dim) and thumbnails (P, height, width, 3) of pairs; one step of progress a pair."""
    pooled: list[torch.Tensor] = []
    for pair in pairs:
        pixels = vision_pixels([resize_exemplar(picture, fit) for picture in pair], vision.config.image_size)
        pooled.append(vision.pooled(pixels))
        progress.step()
    return torch.stack(pooled), torch.cat([pair_thumbnail(*pair) for pair in pairs])
