"""Files that our reader shows as ComfyUI's Load Image does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from comfyui_host.graph import Graph
from comfyui_host.host import Host

NEAR = 4.0
"""Mean difference, of 255, that decoders of JPEG, AVIF and the like may have."""


def gradient() -> Image.Image:
    """A picture that tells all of its sides and corners apart."""
    rows, columns = np.mgrid[0:32, 0:48]
    return Image.fromarray(np.stack([columns * 5, rows * 7, 60 + 0 * rows], -1).astype(np.uint8))


def turned(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (48, 32), "red")]}


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        *(
            (f"turned{turn}.{kind}", "RGB", turned(turn))
            for turn in (3, 6, 8)
            for kind in ("jpg", "png", "webp", "tiff")
        ),
        ("progressive.jpg", "RGB", {"progressive": True, "quality": 95}),
        ("cmyk.jpg", "CMYK", {"quality": 95}),
        ("grey.png", "L", {}),
        ("palette.png", "P", {}),
        ("first_frame.gif", "RGB", FRAMES),
        ("first_frame.webp", "RGB", {**FRAMES, "lossless": True}),
        ("first_frame.png", "RGB", FRAMES),
        ("several.jpg", "RGB", {"format": "MPO", **FRAMES}),
    ],
)
def test_our_reader_shows_what_load_image_shows(host: Host, name: str, mode: str, options: dict[str, Any]) -> None:
    gradient().convert(mode).save(host.input_folder / name, **options)
    graph = Graph()
    theirs = host.run(graph, image=graph.add("LoadImage", image=name))[0].numpy() * 255
    ours = np.asarray(host.module("relation_core.pictures.picture_file").read_picture(host.input_folder / name))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < NEAR
    assert np.abs(ours - theirs[::-1, ::-1]).mean() > 5 * NEAR
