"""Latents and vision features of a dataset's pictures, computed once and read from disk."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from relation_core.errors import DatasetError, PictureError
from relation_core.flux.source import resize_source, source_size
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.tensors import from_pil
from relation_core.progress import Progress
from relation_core.samples.samples import Sample
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_core.weights.lock import alone_in

from ..fingerprints import picture_digest
from .cache_arrays import RowArray, allocate
from .cache_sets import name_rows
from .picture_plan import DONE, POOLED, Plan, latents_of, sizes_in
from .picture_reuse import KnownSet, copy_known, known_sets

_BATCH = 32
_FORMAT = "1"
"""Increased when the same pictures give other arrays."""
_LOG = logging.getLogger(__name__)


class Encoders(Protocol):
    """The frozen models that pictures go through."""

    fingerprint: str
    """Names their weights."""

    @property
    def vision_dim(self) -> int:
        """Width of the vision model's pooled output."""
        ...

    @property
    def image_size(self) -> int:
        """Side of what the vision model looks at."""
        ...

    def latents(self, image: torch.Tensor) -> torch.Tensor:
        """Encode pictures (B, height, width, 3) in [0, 1] to (B, 16, height / 8, width / 8)."""
        ...

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pictures (B, 3, side, side) in [-1, 1] to (B, vision_dim)."""
        ...


class PictureCache:
    """The pictures of a run-ready file, as rows.

    Args:
        folder: of the arrays.
        root: what the pictures' names are relative to.
        plan: what lies in it.
        rows: of every picture's name.
    """

    def __init__(self, folder: Path, root: Path, plan: Plan, rows: dict[str, int]) -> None:
        self._root = root
        self.rows = rows
        self._files = {row: name for name, row in rows.items()}
        self.fingerprint = folder.name
        """Names the pictures' contents, and what they were encoded by."""
        arrays = plan.open_arrays(folder)
        if arrays is None:
            raise DatasetError(f"The cache '{folder}' was changed while it was read. Run again to rebuild it.")
        names = sorted(set(plan.sizes))
        self._latents = {name: arrays[latents_of(name)] for name in names}
        self._pooled = arrays[POOLED]
        self._bucket = np.array([names.index(name) for name in plan.sizes])
        self._place = np.array(plan.places)
        self._names = names

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """The number of each row's size; rows of one size can stand in one batch."""
        return self._bucket[rows]

    def latents(self, rows: np.ndarray) -> torch.Tensor:
        """(B, 16, height / 8, width / 8) float32, of rows of one size."""
        array = self._latents[self._names[self._bucket[rows[0]]]]
        return torch.from_numpy(array.read(self._place[rows])).float()

    def pooled(self, rows: np.ndarray) -> torch.Tensor:
        """(..., vision_dim) float32."""
        return torch.from_numpy(self._pooled.read(rows))

    def picture(self, row: int) -> Image.Image:
        """The picture of a row, as it is on disk."""
        return read_picture(self._root / self._files[row])


def open_cache(
    folder: Path, root: Path, samples: Iterable[Sample], long_side: int, encoders: Encoders, progress: Progress
) -> PictureCache:
    """Encode the pictures of some samples that are not encoded yet. After a kill, the same call resumes.

    Pictures of the same bytes are encoded once. What lies in the cache is found by the pictures' bytes, the models and
    the size, never by names; each such set has a folder, so that several processes can share a cache. A set takes over
    what others have encoded alike.

    Args:
        folder: where the cache lies; made if need be.
        root: what the samples' pictures are relative to.
        samples: their pictures are cached.
        long_side: that pictures are brought to for their latents; 0 keeps their sizes.
        encoders: the models.
        progress: told of every picture.

    Raises:
        DatasetError: a picture cannot be read, or the cache cannot be written.
    """
    digests = {name: _digest(root / name) for name in sorted({name for one in samples for name in one.pictures})}
    files = {digest: root / name for name, digest in digests.items()}
    order = sorted(files)
    contents = "\n".join((_FORMAT, encoders.fingerprint, str(long_side), *order))
    own = folder / _hashed(contents)
    made_by = _hashed(json.dumps([_FORMAT, encoders.fingerprint, long_side, encoders.vision_dim]))
    others = cache(lambda: known_sets(own, made_by, encoders.vision_dim))

    def size_of(digest: str) -> str:
        known = next((one for one in others() if digest in one.rows), None)
        return _latent_size(files[digest], long_side) if known is None else known.size_of(digest)

    try:
        with alone_in(own, "encoding pictures", wait=True):
            plan = Plan(order, sizes_in(own, order, size_of), encoders.vision_dim)
            name_rows(own, made_by, order)
            _fill(own, plan, others, [files[digest] for digest in order], encoders, progress)
    except OSError as error:
        raise DatasetError(
            f"The cache '{folder}' could not be made: {error.strerror or error}. Free some disk space, or name "
            "another folder."
        ) from error
    row_of = {digest: row for row, digest in enumerate(order)}
    return PictureCache(own, root, plan, {name: row_of[digest] for name, digest in digests.items()})


def _hashed(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _latent_size(path: Path, long_side: int) -> str:
    width, height = source_size(*_read(path).size, long_side)
    return f"{width}x{height}"


def _writable_arrays(folder: Path, plan: Plan) -> dict[str, RowArray]:
    arrays = plan.open_arrays(folder, writable=True)
    if arrays is not None:
        return arrays
    if (folder / f"{DONE}.npy").exists():
        _LOG.warning("The cache '%s' is damaged; its pictures are encoded again.", folder)
        (folder / f"{DONE}.npy").unlink()
    for name, (shape, dtype) in reversed(plan.arrays().items()):  # the record that others are done comes last
        allocate(folder / f"{name}.npy", shape, dtype)
    arrays = plan.open_arrays(folder, writable=True)
    if arrays is None:
        raise OSError(errno.EIO, "What was written cannot be read back")
    return arrays


def _fill(
    folder: Path,
    plan: Plan,
    others: Callable[[], list[KnownSet]],
    files: Sequence[Path],
    encoders: Encoders,
    progress: Progress,
) -> None:
    arrays = _writable_arrays(folder, plan)
    every = np.arange(len(files))
    if (arrays[DONE].read(every) != 1).any():
        copy_known(plan, arrays, others())
    done = arrays[DONE].read(every)
    progress.start(int((done != 1).sum()))
    for size, rows in _batches(plan, done):
        latents, pooled = arrays[latents_of(size)], arrays[POOLED]
        pictures = [_read(files[row]) for row in rows]
        changed = [row for row in rows if _digest(files[row]) != plan.digests[row]]
        if changed:
            raise DatasetError(f"'{files[changed[0]]}' was changed while it was encoded. Run again.")
        width, height = map(int, size.split("x"))
        image = torch.cat([resize_source(from_pil(picture), (width, height)) for picture in pictures])
        latents.write([plan.places[row] for row in rows], encoders.latents(image).numpy().astype(np.float16))
        pixels = vision_pixels([resize_exemplar(picture) for picture in pictures], encoders.image_size)
        pooled.write(rows, encoders.pooled(pixels).numpy())
        latents.sync()
        pooled.sync()
        arrays[DONE].write(rows, np.ones(len(rows), np.uint8))
        for _ in rows:
            progress.step()


def _batches(plan: Plan, done: np.ndarray) -> Iterator[tuple[str, list[int]]]:
    """Rows that are not done, some of one size at a time."""
    waiting: dict[str, list[int]] = {}
    for row, size in enumerate(plan.sizes):
        if done[row] != 1:
            waiting.setdefault(size, []).append(row)
    for size, rows in waiting.items():
        for start in range(0, len(rows), _BATCH):
            yield size, rows[start : start + _BATCH]


def _read(path: Path) -> Image.Image:
    try:
        return read_picture(path)
    except PictureError as error:
        raise DatasetError(f"{error} `dataset validate` lists all of them.") from error


def _digest(path: Path) -> str:
    try:
        return picture_digest(path)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"Cannot read the picture '{path}': {error}. `dataset validate` lists all of them."
        ) from error
