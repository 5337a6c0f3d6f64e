"""What Keep Unedited does to the edits of the small model: ``python -m benchmarks.keeping``.

For every named edit that the model was trained on: the share of the pixels that the true edit leaves alone, to 1/255;
the mean squared error to the true target of the result, of a plain way to keep, and of ours; how often ours judged the
edit local; and the share of the pixels left alone by the true edit that ours left alone too. The plain way has what the
node does not: the source as the autoencoder gives it back. It shows the result where the two differ by more than 0.06
on average over 3 x 3 pixels, and 2 pixels around.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from relation_core.keeping.keep import keep_unedited
from relation_core.settings.bounds import COUNT
from relation_tools.commands.number_option import NumberOption

from .small_edits import SmallEdits
from .small_model import SmallModel, Way

_CHANGED, _BLUR, _GROWN = 0.06, 3, 5
_LEVEL = 1.01 / 255


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keeping", description=__doc__)
    parser.add_argument("--sources", type=NumberOption(COUNT), default=8, help="landscapes for each edit (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keeping-") as folder:
        small = SmallModel(Path(folder) / "comfyui")
        for line in _table(small, SmallEdits(small, options.sources)):
            sys.stdout.write(f"{line}\n")


def _table(small: SmallModel, edits: SmallEdits) -> Iterator[str]:
    (source, target), result = edits.pairs(), edits.pictures(Way("euler", 24))
    kept = keep_unedited(source, result)
    plain = _plainly_kept(source, result, small.through_autoencoder(source))
    errors = [(one - target).square().mean((1, 2, 3)) for one in (result, plain, kept.image)]
    alone, left = ((one - source).abs().amax(-1) <= _LEVEL for one in (target, kept.image))
    names = [name for name, _ in edits.shown]
    yield "| edit | leaves alone | result | plainly kept | kept | judged local | left alone |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in dict.fromkeys(names):
        rows = [row for row, one in enumerate(names) if one == name]
        leaves, shown = _percent(alone[rows].float().mean()), " | ".join(f"{e[rows].mean():.5f}" for e in errors)
        local = sum(kept.verdicts[row] == "local" for row in rows)
        untouched = _percent((alone & left)[rows].sum() / alone[rows].sum()) if alone[rows].any() else ""
        yield f"| {name} | {leaves} | {shown} | {local} of {len(rows)} | {untouched} |"


def _percent(share: torch.Tensor) -> str:
    return f"{100 * float(share):.0f} %"


def _plainly_kept(source: torch.Tensor, result: torch.Tensor, autoencoded: torch.Tensor) -> torch.Tensor:
    """All are (B, height, width, 3)."""
    difference = (result - autoencoded).abs().mean(-1)[:, None]
    smooth = F.avg_pool2d(F.pad(difference, (_BLUR // 2,) * 4, mode="replicate"), _BLUR, 1)
    mask = F.max_pool2d((smooth > _CHANGED).float(), _GROWN, 1, _GROWN // 2)[:, 0, :, :, None]
    return torch.lerp(source, result, mask)


if __name__ == "__main__":
    main()
