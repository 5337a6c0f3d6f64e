"""Pictures of any proportion: what is made of them costs memory of the order of their own."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from relation_core.errors import ExemplarError
from relation_core.flux.source import source_size
from relation_core.pictures.comparison import comparison_sheet
from relation_core.pictures.contained import contained
from relation_core.pictures.thumbnails import pair_thumbnail
from relation_core.vision import exemplar
from relation_core.vision.exemplar import pad_to_regular_ratio, resize_exemplar

THIN = [(1, 20_000), (20_000, 1), (3, 4_099), (4_099, 3), (2, 2), (1, 1)]


def noise(size: tuple[int, int]) -> Image.Image:
    generator = np.random.default_rng(size)
    return Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def authors_way(picture: Image.Image) -> Image.Image:
    """The whole padded picture, resized in one step."""
    padded = pad_to_regular_ratio(picture)
    scale = 512 / max(padded.size)
    size = tuple(max(1, round(side * scale)) for side in padded.size)
    return padded.resize((size[0], size[1]), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("band", [100, 3_000, 1 << 20])
def test_an_exemplar_is_bit_for_bit_what_padding_it_whole_gives(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exemplar, "_BAND_PIXELS", band)
    draw = random.Random(band)  # noqa: S311 - a test
    sizes = [(int(2 ** draw.uniform(0, 9)), int(2 ** draw.uniform(0, 9))) for _ in range(15)]
    for size in [*sizes, (3, 4_099), (4_099, 3), (2, 2), (1, 1), (512, 288)]:
        picture = noise(size)
        expected, found = authors_way(picture), resize_exemplar(picture)
        assert (found.size, found.tobytes()) == (expected.size, expected.tobytes()), size


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
def test_a_thin_exemplar_takes_little_memory() -> None:
    """All of them together, in one process."""
    code = (
        "import resource, sys\nfrom PIL import Image\nfrom relation_core.vision.exemplar import resize_exemplar\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\nfor size in ((1, 20_000), (20_000, 1), (30_000, 2)):\n"
        "    assert max(resize_exemplar(Image.new('RGB', size)).size) == 512, size\nprint(peak() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(run.stdout) < 100_000  # KB


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 1 << 22)])
def test_a_picture_that_cannot_be_padded_is_refused(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size)
    with pytest.raises(ExemplarError, match=rf"{size[0]} x {size[1]} pixels, too long and thin .* Crop or shrink it"):
        resize_exemplar(picture)
    assert max(resize_exemplar(picture, "stretch").size) == 512


@pytest.mark.parametrize("size", THIN)
def test_a_thin_picture_can_be_shown(size: tuple[int, int]) -> None:
    picture, plain = noise(size), noise((64, 48))
    assert min(contained(picture, (128, 128)).size) >= 1
    assert pair_thumbnail(picture, picture).shape == (1, 128, 256, 3)
    for pictures in ((plain, plain, picture, plain), (plain, plain, plain, picture), (picture,) * 4):
        sheet = comparison_sheet(pictures)
        assert sheet.width * sheet.height < 10e6, size


def test_pictures_are_contained_as_pillow_does_it() -> None:
    draw = random.Random(0)  # noqa: S311 - a test
    for _ in range(100):
        picture = noise((draw.randint(30, 300), draw.randint(30, 300)))
        size = draw.choice([(128, 128), (192, 64), (512, 256)])
        expected = ImageOps.contain(picture, size)
        assert (contained(picture, size).size, contained(picture, size).tobytes()) == (
            expected.size,
            expected.tobytes(),
        )


@pytest.mark.parametrize("size", [(1, 1 << 26), (1 << 26, 1), (20_000, 20_000)])
def test_a_source_is_not_enlarged_without_bound(size: tuple[int, int]) -> None:
    with pytest.raises(ExemplarError, match=r"would be encoded at .* expected at most 67,108,864 pixels"):
        source_size(*size, 0)
    assert max(source_size(*size, 512)) == 512
