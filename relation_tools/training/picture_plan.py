"""The plan of a set in a picture cache: a row for each distinct picture, and where its values lie."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from relation_core.files.json_file import read_json
from relation_core.flux.sizes import LATENT_CHANNELS
from relation_core.weights.atomic import write_whole

from .cache_arrays import RowArray, open_rows

DONE, POOLED = "done", "pooled"
_SIZES = "sizes.json"
_SIZE = re.compile("[1-9][0-9]*x[1-9][0-9]*")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """One row per distinct picture."""

    digests: Sequence[str]
    """Of every row: the hash of its picture's file."""
    sizes: Sequence[str]
    """Of every row: the size that it is encoded at, such as ``512x384``."""
    vision_dim: int

    @cached_property
    def places(self) -> list[int]:
        """Of every row: its place in the latents of its size."""
        counts: Counter[str] = Counter()
        places: list[int] = []
        for size in self.sizes:
            places.append(counts[size])
            counts[size] += 1
        return places

    def open_arrays(self, folder: Path, writable: bool = False) -> dict[str, RowArray] | None:
        """Open all arrays; None where one is missing or damaged."""
        found: dict[str, RowArray] = {}
        for name, (shape, dtype) in self.arrays().items():
            array = open_rows(folder / f"{name}.npy", shape, dtype, writable)
            if array is None:
                return None
            found[name] = array
        return found

    def arrays(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and dtype of every array, by its name."""
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            DONE: ((len(self.digests),), np.uint8),
            POOLED: ((len(self.digests), self.vision_dim), np.float32),
        }
        for size, count in Counter(self.sizes).items():
            width, height = (int(side) // 8 for side in size.split("x"))
            shapes[latents_of(size)] = ((count, LATENT_CHANNELS, height, width), np.float16)
        return shapes


def latents_of(size: str) -> str:
    """The name of the array of latents of one size."""
    return f"latents_{size}"


def sizes_in(folder: Path, digests: Sequence[str], size_of: Callable[[str], str]) -> list[str]:
    """Read the sizes of the pictures of a set, or find them out and write them down.

    Raises:
        OSError: they cannot be written.
    """
    sizes = stored_sizes(folder, len(digests))
    if sizes is None:
        sizes = [size_of(digest) for digest in digests]
        write_whole(folder / _SIZES, json.dumps(sizes).encode())
    return sizes


def stored_sizes(folder: Path, count: int) -> list[str] | None:
    """The sizes that are written down for so many pictures; None if they are not there, or damaged."""
    try:
        stored: Any = read_json(folder / _SIZES, 1 << 30)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        stored = None
    if isinstance(stored, list) and len(cast("list[object]", stored)) == count:
        sizes = cast("list[object]", stored)
        if all(isinstance(size, str) and _SIZE.fullmatch(size) for size in sizes):
            return cast("list[str]", sizes)
    _LOG.warning("'%s' is damaged; the pictures' sizes are read again.", folder / _SIZES)
    return None
