"""The size that sources are encoded at, for any picture that users have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from relation_core.errors import ExemplarError
from relation_core.flux.source import check_latent, resize_source, source_size


def random_sizes(seed: int, count: int = 4000) -> list[tuple[int, int]]:
    sizes = np.random.default_rng(seed).integers(64, 2049, (count, 2)).tolist()
    return [*map(tuple, sizes), (64, 64), (64, 2048), (2048, 64), (2048, 2048), (65, 2047), (2047, 65), (65, 65)]


def check_size(width: int, height: int, long_side: int, scale: float) -> tuple[int, int]:
    size = source_size(width, height, long_side, scale)
    factor = scale * (long_side / max(width, height) if long_side else 1.0)
    for side, exact in zip(size, (width * factor, height * factor), strict=True):
        assert side % 16 == 0 and side >= 16
        assert side == 16 if exact < 16.5 else -0.5 <= exact - side < 16.5, (width, height, long_side, scale)
    return size


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.125])
@pytest.mark.parametrize("long_side", [0, 16, 256, 500, 512, 1023, 1024, 2048])
def test_sides_are_multiples_of_16_and_proportions_stay(long_side: int, scale: float) -> None:
    for width, height in random_sizes(seed=long_side):
        size = check_size(width, height, long_side, scale)
        if long_side and long_side * scale % 16 == 0:
            assert max(size) == long_side * scale
        elif not long_side and scale == 1.0:
            assert size == (width - width % 16, height - height % 16)


def test_every_side_from_64_to_2048() -> None:
    for side in range(64, 2049):
        for other in (64, 511, 512, 513, 1000, 2048):
            for long_side in (0, 512):
                assert check_size(side, other, long_side, 1.0) == check_size(other, side, long_side, 1.0)[::-1]


@pytest.mark.parametrize("size", [(1, 1), (1, 2048), (15, 15), (7, 300)])
def test_tiny_pictures_still_have_a_token(size: tuple[int, int]) -> None:
    assert min(source_size(*size, long_side=0)) == 16
    assert max(source_size(*size, long_side=512)) == 512


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_resizing_gives_rgb_of_that_size(channels: int) -> None:
    resized = resize_source(torch.rand(2, 45, 77, channels), (64, 32))
    assert (resized.shape, resized.dtype) == ((2, 32, 64, 3), torch.float32)
    assert 0 <= resized.min() <= resized.max() <= 1


def test_a_picture_of_the_size_keeps_its_exact_values() -> None:
    image = torch.rand(2, 32, 48, 3)
    assert torch.equal(resize_source(image, (48, 32)), image)


@pytest.mark.parametrize("size", [(48, 32), (16, 16)])
def test_broken_pixels_are_refused_at_any_size(size: tuple[int, int]) -> None:
    image = torch.rand(1, 32, 48, 3)
    image[0, 31, 47, 2] = float("nan")
    with pytest.raises(ExemplarError, match="NaN or infinite values"):
        resize_source(image, size)


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 16, 8), (1, 16, 1, 8, 8), (1, 128, 8, 8)])
def test_another_models_autoencoder_is_refused(shape: tuple[int, ...]) -> None:
    message = rf"shape \({', '.join(map(str, shape))}\); FLUX\.1 expects \(batch, 16, height, width\).*ae\.safetensors"
    with pytest.raises(ExemplarError, match=message):
        check_latent(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_latent_that_is_not_of_numbers_is_refused(value: float) -> None:
    """As half precision makes them in some autoencoders; the picture would be black."""
    latent = torch.zeros(2, 16, 4, 4, dtype=torch.float16)
    check_latent(latent)
    latent[1, 15, 3, 3] = value
    with pytest.raises(ExemplarError, match=r"made NaN or infinite values in torch\.float16; expected finite values"):
        check_latent(latent)
