"""Latents and vision features of a dataset's pictures, computed once and read from disk."""

from __future__ import annotations

import errno
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image

from relation_core.errors import DatasetError, PictureError
from relation_core.files.json_file import read_json
from relation_core.flux.sizes import LATENT_CHANNELS
from relation_core.flux.source import resize_source, source_size
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.tensors import from_pil
from relation_core.progress import Progress
from relation_core.samples.samples import Sample
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_core.weights.atomic import write_whole
from relation_core.weights.lock import alone_in

from ..fingerprints import picture_digest
from .cache_arrays import RowArray, allocate, open_rows

_BATCH = 32
_FORMAT = "1"
"""Increased when the same pictures give other arrays."""
_INDEX, _DONE, _POOLED = "sizes.json", "done", "pooled"
_SIZE = re.compile("[1-9][0-9]*x[1-9][0-9]*")
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


@dataclass(frozen=True)
class _Plan:
    """The plan of a cache: one row per distinct picture."""

    rows: dict[str, int]
    """Of every picture's name."""
    places: list[tuple[str, int]]
    """Of every row: the name of its array of latents, and its place in it."""
    files: list[str]
    """Of every row: a picture that it is made of."""
    digests: list[str]
    """Of every row: the hash of that picture's file."""
    vision_dim: int

    def arrays(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and dtype of every array, by its name."""
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            _DONE: ((len(self.files),), np.uint8),
            _POOLED: ((len(self.files), self.vision_dim), np.float32),
        }
        for size, count in Counter(size for size, _ in self.places).items():
            width, height = (int(side) // 8 for side in size.split("x"))
            shapes[f"latents_{size}"] = ((count, LATENT_CHANNELS, height, width), np.float16)
        return shapes


class PictureCache:
    """The pictures of a run-ready file, as rows.

    Args:
        folder: of the arrays.
        root: what the pictures' names are relative to.
        plan: what lies in it.
    """

    def __init__(self, folder: Path, root: Path, plan: _Plan) -> None:
        self._root = root
        self._plan = plan
        self.rows = plan.rows
        self.fingerprint = folder.name
        """Names the pictures' contents, and what they were encoded by."""
        arrays = _open_arrays(folder, plan)
        if arrays is None:
            raise DatasetError(f"The cache '{folder}' was changed while it was read. Run again to rebuild it.")
        names = sorted({name for name, _ in plan.places})
        self._latents = {name: arrays[f"latents_{name}"] for name in names}
        self._pooled = arrays[_POOLED]
        self._bucket = np.array([names.index(name) for name, _ in plan.places])
        self._place = np.array([place for _, place in plan.places])
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
        return read_picture(self._root / self._plan.files[row])


def open_cache(
    folder: Path, root: Path, samples: Iterable[Sample], long_side: int, encoders: Encoders, progress: Progress
) -> PictureCache:
    """Encode the pictures of some samples that are not encoded yet. After a kill, the same call resumes.

    Pictures of the same bytes are encoded once. What lies in the cache is found by the pictures' bytes, the models and
    the size, never by names; each such set has a folder, so that several processes can share a cache.

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
    contents = "\n".join((_FORMAT, encoders.fingerprint, str(long_side), *sorted(set(digests.values()))))
    own = folder / blake2b(contents.encode(), digest_size=16).hexdigest()
    try:
        with alone_in(own, "encoding pictures", wait=True):
            plan = _plan(own, root, digests, long_side, encoders.vision_dim)
            _fill(own, root, plan, encoders, progress)
    except OSError as error:
        raise DatasetError(
            f"The cache '{folder}' could not be made: {error.strerror or error}. Free some disk space, or name "
            "another folder."
        ) from error
    return PictureCache(own, root, plan)


def _plan(folder: Path, root: Path, digests: dict[str, str], long_side: int, vision_dim: int) -> _Plan:
    """Give every distinct picture a row. They are decoded once for their sizes."""
    files: dict[str, str] = {}
    for name, digest in digests.items():
        files.setdefault(digest, name)
    order = sorted(files)
    sizes = _stored_sizes(folder, order)
    if sizes is None:
        sizes = [_latent_size(root / files[digest], long_side) for digest in order]
        write_whole(folder / _INDEX, json.dumps(sizes).encode())
    counts: Counter[str] = Counter()
    places: list[tuple[str, int]] = []
    for size in sizes:
        places.append((size, counts[size]))
        counts[size] += 1
    row_of = {digest: row for row, digest in enumerate(order)}
    rows = {name: row_of[digest] for name, digest in digests.items()}
    return _Plan(rows, places, [files[digest] for digest in order], order, vision_dim)


def _stored_sizes(folder: Path, order: Sequence[str]) -> list[str] | None:
    try:
        stored: Any = read_json(folder / _INDEX, 1 << 30)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        stored = None
    if isinstance(stored, list) and len(cast("list[object]", stored)) == len(order):
        sizes = cast("list[object]", stored)
        if all(isinstance(size, str) and _SIZE.fullmatch(size) for size in sizes):
            return cast("list[str]", sizes)
    _LOG.warning("'%s' is damaged; the pictures' sizes are read again.", folder / _INDEX)
    return None


def _latent_size(path: Path, long_side: int) -> str:
    width, height = source_size(*_read(path).size, long_side)
    return f"{width}x{height}"


def _open_arrays(folder: Path, plan: _Plan, writable: bool = False) -> dict[str, RowArray] | None:
    """Open all arrays; None where one is missing or damaged."""
    found: dict[str, RowArray] = {}
    for name, (shape, dtype) in plan.arrays().items():
        array = open_rows(folder / f"{name}.npy", shape, dtype, writable)
        if array is None:
            return None
        found[name] = array
    return found


def _writable_arrays(folder: Path, plan: _Plan) -> dict[str, RowArray]:
    arrays = _open_arrays(folder, plan, writable=True)
    if arrays is not None:
        return arrays
    if (folder / f"{_DONE}.npy").exists():
        _LOG.warning("The cache '%s' is damaged; its pictures are encoded again.", folder)
        (folder / f"{_DONE}.npy").unlink()
    for name, (shape, dtype) in reversed(plan.arrays().items()):  # the record that others are done comes last
        allocate(folder / f"{name}.npy", shape, dtype)
    arrays = _open_arrays(folder, plan, writable=True)
    if arrays is None:
        raise OSError(errno.EIO, "What was written cannot be read back")
    return arrays


def _fill(folder: Path, root: Path, plan: _Plan, encoders: Encoders, progress: Progress) -> None:
    arrays = _writable_arrays(folder, plan)
    pooled = arrays[_POOLED]
    done = arrays[_DONE].read(np.arange(len(arrays[_DONE])))
    progress.start(int((done != 1).sum()))
    for size, rows in _batches(plan, done):
        latents = arrays[f"latents_{size}"]
        pictures = [_read(root / plan.files[row]) for row in rows]
        changed = [row for row in rows if _digest(root / plan.files[row]) != plan.digests[row]]
        if changed:
            raise DatasetError(f"'{root / plan.files[changed[0]]}' was changed while it was encoded. Run again.")
        width, height = map(int, size.split("x"))
        image = torch.cat([resize_source(from_pil(picture), (width, height)) for picture in pictures])
        latents.write([plan.places[row][1] for row in rows], encoders.latents(image).numpy().astype(np.float16))
        pixels = vision_pixels([resize_exemplar(picture) for picture in pictures], encoders.image_size)
        pooled.write(rows, encoders.pooled(pixels).numpy())
        latents.sync()
        pooled.sync()
        arrays[_DONE].write(rows, np.ones(len(rows), np.uint8))
        for _ in rows:
            progress.step()


def _batches(plan: _Plan, done: np.ndarray) -> Iterator[tuple[str, list[int]]]:
    """Rows that are not done, some of one size at a time."""
    waiting: dict[str, list[int]] = {}
    for row, (size, _) in enumerate(plan.places):
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
