"""The pictures of help pages and the thumbnails of workflows show what their scripts draw today."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.draw_help import IMAGES, node_texts, sheet_of
from scripts.drawing import PACK, Sheet
from scripts.templates.thumbnails import THUMBNAILS

HELP = {
    IMAGES / f"{node}.jpg": lambda node=node, texts=texts: sheet_of(node, texts) for node, texts in node_texts().items()
}
DRAWN: dict[Path, Callable[[], Sheet]] = {
    **HELP,
    **{PACK / "workflows" / f"{name}.jpg": draw for name, draw in THUMBNAILS.items()},
}
CELL, ALIKE = 8, 16
"""Pixels a side that are averaged, and what means may differ by, of 255: another digit of a text makes it 27."""


def cells(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").reduce(CELL), np.int16)


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.name)
def test_it_is_as_its_script_draws_it(path: Path, tmp_path: Path) -> None:
    DRAWN[path]().save(drawn := tmp_path / path.name)
    assert np.abs(cells(drawn) - cells(path)).max() < ALIKE
