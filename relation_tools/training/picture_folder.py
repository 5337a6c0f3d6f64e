"""Pictures of a folder, drawn by a step's own random numbers, to pretrain the frozen parts of a small model on."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from relation_core.errors import DatasetError
from relation_core.pictures.picture_file import read_picture
from relation_core.randomness import generator_of
from relation_core.vision.exemplar import resize_exemplar, vision_pixels

from ..dataset.landscapes import RECORD, TRAIN
from ..fingerprints import picture_digest
from ..picture_listing import list_pictures, warn_of_others


class PictureFolder:
    """All pictures below a folder, of one size. Nothing but the pictures themselves is read.

    Args:
        folder: where they lie.
        size: width and height of each, in pixels.

    Raises:
        DatasetError: there are none, or the folder cannot be read.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        try:
            found = list_pictures(folder, below=True)
        except OSError as error:
            raise DatasetError(f"Cannot look into '{folder}': {error.strerror or error}. Check the path.") from error
        self._files = found.pictures
        self._size = size
        if not self._files:
            raise DatasetError(
                f"There are no pictures in '{folder}'. Expected some, as `dataset landscapes` draws them."
            )
        warn_of_others([path for path in found.others if path not in (folder / TRAIN, folder / RECORD)], folder)

    def __len__(self) -> int:
        return len(self._files)

    def fingerprint(self) -> str:
        """Fingerprint the pictures in their order, which decides what is drawn.

        Raises:
            DatasetError: one cannot be read.
        """
        digest = blake2b(digest_size=8)
        try:
            for path in self._files:
                digest.update(f"{picture_digest(path)} ".encode())
        except OSError as error:
            raise DatasetError(
                f"Cannot read '{error.filename}': {error.strerror or error}. Check its rights."
            ) from error
        return digest.hexdigest()

    def draw(self, count: int, seed: int, step: int) -> list[Image.Image]:
        """Draw pictures, with replacement, in RGB.

        Raises:
            PictureError: one cannot be read.
            DatasetError: one is of another size.
        """
        generator = generator_of(seed, "pictures", step)
        return [self._read(int(place)) for place in torch.randint(len(self._files), (count,), generator=generator)]

    def _read(self, place: int) -> Image.Image:
        picture = read_picture(self._files[place])
        if picture.size != self._size:
            raise DatasetError(
                f"'{self._files[place]}' has {picture.width} x {picture.height} pixels; expected {self._size[0]} x "
                f"{self._size[1]}, as `dataset landscapes` draws them."
            )
        return picture


def pixels_of(pictures: list[Image.Image]) -> torch.Tensor:
    """(B, 3, height, width) float32 in [0, 1]."""
    arrays = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(arrays).movedim(-1, 1).float().div(255.0)


def random_crops(pixels: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """(B, 3, side, side): a random square of each picture."""
    high, wide = (size - side + 1 for size in pixels.shape[-2:])
    tops = torch.randint(high, (len(pixels),), generator=generator)
    lefts = torch.randint(wide, (len(pixels),), generator=generator)
    squares = [
        picture[:, int(top) : int(top) + side, int(left) : int(left) + side]
        for picture, top, left in zip(pixels, tops, lefts, strict=True)
    ]
    return torch.stack(squares)


def exemplar_matrix(side: int, image_size: int) -> torch.Tensor:
    """The matrix (image_size, side) by which exemplar preprocessing acts on each axis of a square picture.

    Resizing is linear and treats both axes alike, so two products replace Pillow's much slower steps; the results
    differ by its rounding alone.
    """
    stripes = np.zeros((side, side, 3), np.uint8)
    matrix = np.zeros((image_size, side))
    for place in range(side):
        stripes[:] = 128
        stripes[:, place] = 255
        white = vision_pixels([resize_exemplar(Image.fromarray(stripes))], image_size)[0, 0, image_size // 2]
        matrix[:, place] = (white.numpy() * 127.5 + 127.5 - 128.0) / 127.0
    return torch.from_numpy(matrix / matrix.sum(1, keepdims=True)).float()
