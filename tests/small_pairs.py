"""Writes a small paired dataset of landscapes, in the layout of Relation252K."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from relation_core.scenes.examples import SEED
from relation_core.scenes.landscape import quiet_landscape
from relation_core.scenes.named_edits import edit_named
from relation_core.scenes.painting import paint

SIDE = 64
"""Pixels a side of each half: half as many as landscapes are painted with."""


def write_pairs(out: Path, edits: Sequence[str], scenes: int) -> Path:
    """Write every edit of the same landscapes, before on the left and after on the right, so that a source has a target
    of each; return the folder.
    """
    landscapes = [quiet_landscape(SEED, number) for number in range(scenes)]
    before = [small(paint(landscape)) for landscape in landscapes]
    for edit in edits:
        relation = edit_named(edit)
        folder = out / edit / "Group1"
        folder.mkdir(parents=True)
        labels = []
        for number, landscape in enumerate(landscapes):
            both = Image.new("RGB", (2 * SIDE, SIDE))
            both.paste(before[number], (0, 0))
            both.paste(small(relation.apply(landscape)), (SIDE, 0))
            name = f"scene_{number:03d}.png"
            both.save(folder / name)
            labels.append(
                {
                    "left_image_description": "A landscape.",
                    "right_image_description": f"The same landscape, edited: {edit}.",
                    "edit_instruction": relation.instruction,
                    "img_name": name,
                }
            )
        (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return out


def small(picture: Image.Image) -> Image.Image:
    """A landscape of half the size."""
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX)
