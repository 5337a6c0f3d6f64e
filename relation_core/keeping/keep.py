"""Combine the source's pixels where an edit changed nothing with the result's where it did."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import ExemplarError
from ..flux.source import resize_source
from ..pictures.tensors import flatten_alpha
from .difference import difference_of
from .region import edited_region
from .verdict import Verdict, verdict_on
from .windows import window_maximum, window_mean


@dataclass(frozen=True)
class Kept:
    """Results whose unedited pixels are their sources'."""

    image: torch.Tensor
    """(B, height, width, 3) float32."""
    mask: torch.Tensor
    """(B, height, width): 1 where the result is shown, 0 where the source is."""
    verdicts: tuple[Verdict, ...]


def keep_unedited(
    source: torch.Tensor, result: torch.Tensor, threshold: float = 0.0, grow: int = 0, feather: int = 0
) -> Kept:
    """Give back the source where results differ from it by autoencoder and sampler noise only.

    A slow drift of colour and light is removed from the edited part. A global edit stays as it is.

    Args:
        source: (B or 1, height, width, 1 to 4 channels); fitted to the size of the results.
        result: (B or 1, height, width, 1 to 4 channels).
        threshold: difference, on a scale of 0 to 1, above which flat pixels count as edited; 0 derives it from each
        picture's noise.
        grow: pixels by which the edited part is widened.
        feather: pixels over which it fades out, outside of it.

    Raises:
        ExemplarError: the batches differ in length and neither is 1, or they hold no pictures.
    """
    result = flatten_alpha(result).float()
    source = resize_source(source, (result.shape[2], result.shape[1])).to(result)
    count = max(len(source), len(result))
    if {len(source), len(result)} - {1, count}:
        raise ExemplarError(
            f"Got {len(source)} source pictures and {len(result)} results; expected as many of both, or one of "
            "either. Connect the pictures that were edited, in the order of the results."
        )
    images, masks, verdicts = list[torch.Tensor](), list[torch.Tensor](), list[Verdict]()
    for before, after in zip(source.expand(count, -1, -1, -1), result.expand(count, -1, -1, -1), strict=True):
        image, mask, verdict = _keep(before.permute(2, 0, 1), after.permute(2, 0, 1), threshold, grow, feather)
        images.append(image.permute(1, 2, 0))
        masks.append(mask)
        verdicts.append(verdict)
    return Kept(torch.stack(images), torch.stack(masks), tuple(verdicts))


def _keep(
    source: torch.Tensor, result: torch.Tensor, threshold: float, grow: int, feather: int
) -> tuple[torch.Tensor, torch.Tensor, Verdict]:
    difference = difference_of(source, result, threshold)
    verdict = verdict_on(source, result, difference)
    if verdict == "global":
        return result, torch.ones_like(result[0]), verdict
    mask = _softened(edited_region(difference, result), grow, feather)
    return torch.lerp(source, (result - difference.drift).clamp(0, 1), mask), mask, verdict


def _softened(mask: torch.Tensor, grow: int, feather: int) -> torch.Tensor:
    """Widen a mask, and let it fade out beyond that: no pixel takes less of the result than before."""
    if grow:
        mask = window_maximum(mask[None], grow)[0]
    if not feather:
        return mask
    reach = -(-feather // 2)
    return mask.maximum(window_mean(window_maximum(mask[None], reach), reach)[0])
