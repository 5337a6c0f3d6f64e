"""Latents and vision features of a dataset's pictures, computed once and mapped from disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from relation_core.errors import DatasetError, PictureError
from relation_core.flux.sizes import LATENT_CHANNELS
from relation_core.flux.source import resize_source, source_size
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.tensors import from_pil
from relation_core.progress import Progress
from relation_core.samples.samples import Sample
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_core.weights.atomic import appearing

_BATCH = 32
_INDEX = "index.json"


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
    """What a cache holds: a row for every different picture."""

    key: str
    """Of the models and settings that it was made with."""
    rows: dict[str, int]
    """Of every picture's name."""
    places: list[tuple[str, int]]
    """Of every row: the name of its array of latents, and its place in it."""
    files: list[str]
    """Of every row: a picture that it was made of."""


class PictureCache:
    """The pictures of a run-ready file, as rows.

    Args:
        folder: the cache's own.
        root: what the pictures' names are relative to.
        plan: what lies in it.
    """

    def __init__(self, folder: Path, root: Path, plan: _Plan) -> None:
        self._root = root
        self._plan = plan
        self.rows = plan.rows
        names = sorted({name for name, _ in plan.places})
        self._latents = {name: _mapped(folder / f"latents_{name}.npy") for name in names}
        self._pooled = _mapped(folder / "pooled.npy")
        self._bucket = np.array([names.index(name) for name, _ in plan.places])
        self._place = np.array([place for _, place in plan.places])
        self._names = names

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """The number of each row's size; rows of one size can stand in one batch."""
        return self._bucket[rows]

    def latents(self, rows: np.ndarray) -> torch.Tensor:
        """(B, 16, height / 8, width / 8) float32, of rows of one size."""
        array = self._latents[self._names[self._bucket[rows[0]]]]
        return torch.from_numpy(array[self._place[rows]]).float()

    def pooled(self, rows: np.ndarray) -> torch.Tensor:
        """(..., vision_dim) float32."""
        return torch.from_numpy(self._pooled[rows])

    def picture(self, row: int) -> Image.Image:
        """The picture of a row, as it is on disk."""
        return read_picture(self._root / self._plan.files[row])


def _mapped(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r")


def open_cache(
    folder: Path, root: Path, samples: Iterable[Sample], long_side: int, encoders: Encoders, progress: Progress
) -> PictureCache:
    """Encode every picture of some samples that is not encoded yet. Killed at any moment, the same call goes on.

    Pictures of the same bytes are encoded once.

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
    names = sorted({name for sample in samples for name in sample.pictures})
    listing = blake2b("\n".join(names).encode(), digest_size=8).hexdigest()
    key = f"{encoders.fingerprint} {long_side} {listing}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plan = _stored_plan(folder, key) or _new_plan(folder, root, names, long_side, key, encoders)
        _fill(folder, root, plan, encoders, progress)
    except OSError as error:
        raise DatasetError(f"The cache '{folder}' could not be made: {error}. Make room, or name another.") from error
    return PictureCache(folder, root, plan)


def _stored_plan(folder: Path, key: str) -> _Plan | None:
    if not (folder / _INDEX).is_file():
        return None
    stored = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    if stored["key"] != key:
        return None
    places = [(str(name), int(place)) for name, place in stored["places"]]
    return _Plan(key, stored["rows"], places, stored["files"])


def _new_plan(folder: Path, root: Path, names: Sequence[str], long_side: int, key: str, encoders: Encoders) -> _Plan:
    (folder / _INDEX).unlink(missing_ok=True)
    rows: dict[str, int] = {}
    places: list[tuple[str, int]] = []
    files: list[str] = []
    counts: dict[str, int] = {}
    seen: dict[bytes, int] = {}
    for name in names:
        path = root / name
        digest = blake2b(path.read_bytes(), digest_size=16).digest()
        if digest not in seen:
            seen[digest] = len(files)
            width, height = source_size(*_read(path).size, long_side)
            size = f"{width}x{height}"
            places.append((size, counts.get(size, 0)))
            counts[size] = counts.get(size, 0) + 1
            files.append(name)
        rows[name] = seen[digest]
    for size, count in counts.items():
        width, height = (int(side) // 8 for side in size.split("x"))
        _allocate(folder / f"latents_{size}.npy", (count, LATENT_CHANNELS, height, width), np.float16)
    _allocate(folder / "pooled.npy", (len(files), encoders.vision_dim), np.float32)
    _allocate(folder / "done.npy", (len(files),), np.uint8)
    plan = _Plan(key, rows, places, files)
    with appearing(folder / _INDEX) as unfinished:
        unfinished.write_text(json.dumps(vars(plan)), encoding="utf-8")
    return plan


def _allocate(path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    np.lib.format.open_memmap(path, "w+", dtype, shape).flush()


def _fill(folder: Path, root: Path, plan: _Plan, encoders: Encoders, progress: Progress) -> None:
    done = np.load(folder / "done.npy", mmap_mode="r+")
    pooled = np.load(folder / "pooled.npy", mmap_mode="r+")
    progress.start(int((done == 0).sum()))
    for size, rows in _batches(plan, done):
        latents = np.load(folder / f"latents_{size}.npy", mmap_mode="r+")
        pictures = [_read(root / plan.files[row]) for row in rows]
        width, height = map(int, size.split("x"))
        image = torch.cat([resize_source(from_pil(picture), (width, height)) for picture in pictures])
        latents[[plan.places[row][1] for row in rows]] = encoders.latents(image).numpy().astype(np.float16)
        pixels = vision_pixels([resize_exemplar(picture) for picture in pictures], encoders.image_size)
        pooled[rows] = encoders.pooled(pixels).numpy()
        latents.flush()
        pooled.flush()
        done[rows] = 1
        for _ in rows:
            progress.step()


def _batches(plan: _Plan, done: np.ndarray) -> Iterator[tuple[str, list[int]]]:
    """Rows that are not done, some of one size at a time."""
    waiting: dict[str, list[int]] = {}
    for row, (size, _) in enumerate(plan.places):
        if not done[row]:
            waiting.setdefault(size, []).append(row)
    for size, rows in waiting.items():
        for start in range(0, len(rows), _BATCH):
            yield size, rows[start : start + _BATCH]


def _read(path: Path) -> Image.Image:
    try:
        return read_picture(path)
    except PictureError as error:
        raise DatasetError(f"{error} `dataset validate` finds all such.") from error
