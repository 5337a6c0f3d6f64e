"""What Keep Unedited does to the edits of the model of drawn scenes: ``python -m benchmarks.keeping``.

For every edit: the mean squared error to the true target of the result, of a plain way to keep, and of ours; how often
ours judged the edit local; and the share of the pixels that the true edit leaves alone which ours left alone, to
1/255. The plain way has what the node does not: the source as the autoencoder gives it back. It shows the result where
the two differ by more than 0.06 on average over 3 x 3 pixels, and 2 pixels around.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from relation_core.keeping.keep import keep_unedited

from .small_edits import SmallEdits, Way

SCENES = 8
_CHANGED, _BLUR, _GROWN = 0.06, 3, 5
_LEVEL = 1.01 / 255


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="keeping-") as folder:
        edits = SmallEdits(Path(folder) / "comfyui", SCENES)
        (source, target), result = edits.pairs(), edits.pictures(Way("euler", 24))
        kept = keep_unedited(source, result)
        plain = _plainly_kept(source, result, edits.through_autoencoder(source))
        errors = [(one - target).square().mean((1, 2, 3)) for one in (result, plain, kept.image)]
        alone, left = ((one - source).abs().amax(-1) <= _LEVEL for one in (target, kept.image))
    sys.stdout.write("| edit | result | plainly kept | kept | judged local | left alone |\n")
    sys.stdout.write("| --- | --- | --- | --- | --- | --- |\n")
    names = [name for name, _ in edits.scenes]
    for name in dict.fromkeys(names):
        rows = [row for row, one in enumerate(names) if one == name]
        shown = " | ".join(f"{float(error[rows].mean()):.5f}" for error in errors)
        local = sum(kept.verdicts[row] == "local" for row in rows)
        share = (alone & left)[rows].sum() / alone[rows].sum().clamp_min(1)
        untouched = f"{100 * float(share):.0f} %" if alone[rows].any() else ""
        sys.stdout.write(f"| {name} | {shown} | {local} of {len(rows)} | {untouched} |\n")


def _plainly_kept(source: torch.Tensor, result: torch.Tensor, autoencoded: torch.Tensor) -> torch.Tensor:
    """All are (B, height, width, 3)."""
    difference = (result - autoencoded).abs().mean(-1)[:, None]
    smooth = F.avg_pool2d(F.pad(difference, (_BLUR // 2,) * 4, mode="replicate"), _BLUR, 1)
    mask = F.max_pool2d((smooth > _CHANGED).float(), _GROWN, 1, _GROWN // 2)[:, 0, :, :, None]
    return torch.lerp(source, result, mask)


if __name__ == "__main__":
    main()
