"""Combine the source's pixels where an edit changed nothing with the result's where it did."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import ExemplarError
from ..flux.source import resize_source
from ..pictures.tensors import check_pictures, flatten_alpha
from .cells import Cells, compare_cells
from .drift import centres
from .reduced import reduce, strips
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
        threshold: difference, on a scale of 0 to 1, above which flat parts count as edited, and no edit as global; 0
            derives both from each picture.
        grow: pixels by which the edited part is widened.
        feather: pixels over which it fades out, outside of it.

    Raises:
        ExemplarError: the batches differ in length and neither is 1, or they hold no pictures.
    """
    source, result = check_pictures(source), check_pictures(result)
    count = max(len(source), len(result))
    if {len(source), len(result)} - {1, count}:
        raise ExemplarError(
            f"Got {len(source)} source pictures and {len(result)} results; expected as many of both, or one of "
            "either. Connect the pictures that were edited, in the order of the results."
        )
    height, width = result.shape[1:3]
    images, masks = torch.empty(count, height, width, 3), torch.ones(count, height, width)
    verdicts = list[Verdict]()
    before = after = torch.empty(0)
    for index in range(count):
        if index < len(result):
            after = flatten_alpha(result[index : index + 1]).float().cpu()[0]
        if index < len(source):
            before = resize_source(source[index : index + 1], (width, height)).float().cpu()[0]
        verdicts.append(_keep(before, after, (threshold, grow, feather), images[index], masks[index]))
    return Kept(images.to(result.device), masks.to(result.device), tuple(verdicts))


def _keep(
    source: torch.Tensor,
    result: torch.Tensor,
    settings: tuple[float, int, int],
    image: torch.Tensor,
    mask: torch.Tensor,
) -> Verdict:
    """Fill an image and a mask from one source and one result, (height, width, 3)."""
    threshold, grow, feather = settings
    pictures = reduce(source, result)
    cells = compare_cells(pictures, threshold)
    if not threshold and verdict_on(pictures, cells) == "global":
        image.copy_(result)
        return "global"
    mask.copy_(_softened(edited_region(source, result, pictures, cells), grow, feather))
    _join(source, result, mask, cells, image)
    return "local"


def _join(source: torch.Tensor, result: torch.Tensor, mask: torch.Tensor, cells: Cells, image: torch.Tensor) -> None:
    height, width = mask.shape
    y, x = centres(height, 1, height), centres(width, 1, width)
    for first, last in strips(height, 1):
        drift = cells.correction.over(y[first:last], x).permute(1, 2, 0)
        part = result[first:last]
        # Where the drift would have led beyond 0 or 1 it was cut off, and is not in the result.
        steady = (part - drift.clamp(-part, 1 - part)).clamp_(0, 1)
        torch.lerp(source[first:last], steady, mask[first:last, :, None], out=image[first:last])


def _softened(mask: torch.Tensor, grow: int, feather: int) -> torch.Tensor:
    """Widen a mask, and let it fade out beyond that: no pixel takes less of the result than before."""
    if grow:
        mask = window_maximum(mask[None], grow)[0]
    if not feather:
        return mask
    reach = -(-feather // 2)
    return mask.maximum(window_mean(window_maximum(mask[None], reach), reach)[0].clamp_(0, 1))
