"""Encoded instructions: computed once and read from disk, or zeros for a model without text."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from relation_core.errors import DatasetError
from relation_core.files.json_file import read_json
from relation_core.flux.empty_prompt import empty_prompt
from relation_core.progress import Progress
from relation_core.weights.atomic import write_whole
from relation_core.weights.lock import alone_in

from ..diffusers_host.text_encoders import open_text_encoders
from ..fingerprints import contents_fingerprint
from .cache_arrays import RowArray, allocate, open_rows
from .cache_sets import name_rows, sets_beside

_INDEX, _ARRAYS = "texts.json", ("text.npy", "pooled_text.npy")
_ENCODERS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
_LOG = logging.getLogger(__name__)


class Texts(Protocol):
    """Provides encoded texts."""

    def encoded(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """The texts (B, L, D) and the pooled texts (B, C), float32."""
        ...


class EmptyTexts:
    """Zeros, whatever the text.

    Args:
        text_dim: the model's text width.
        pooled_dim: the model's width of the pooled text.
    """

    def __init__(self, text_dim: int, pooled_dim: int) -> None:
        self._text, self._pooled = empty_prompt(text_dim, pooled_dim)

    def encoded(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Zeros, one row for each text."""
        return self._text.expand(len(texts), -1, -1), self._pooled.expand(len(texts), -1)


class TextCache:
    """Texts that were encoded before, by :func:`open_texts`."""

    def __init__(self, folder: Path, rows: dict[str, int]) -> None:
        self._rows = rows
        self._text, self._pooled = (
            _open(folder, name, shape) for name, shape in zip(_ARRAYS, _shapes(folder), strict=True)
        )

    def encoded(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Read them."""
        rows = np.array([self._rows[text] for text in texts])
        return torch.from_numpy(self._text.read(rows)).float(), torch.from_numpy(self._pooled.read(rows)).float()

    def stored(self, text: str) -> list[np.ndarray]:
        """Read one as it is kept: the text (L, D) and the pooled text (C,), float16."""
        row = np.array(self._rows[text])
        return [self._text.read(row), self._pooled.read(row)]


def open_texts(
    folder: Path, texts: Iterable[str], encoders: Path, tokens: int, device: torch.device | str, progress: Progress
) -> TextCache:
    """Encode every text that is not encoded yet, by FLUX.1's text encoders. After a kill, the same call resumes.

    They are kept in float16: 4 MB a text of 512 tokens. A set of texts takes over what others have encoded alike.

    Args:
        folder: where the cache lies; made if need be.
        texts: the texts.
        encoders: a FLUX.1 pipeline's folder in diffusers' form.
        tokens: length of an encoded text.
        device: where to compute.
        progress: told of every text.

    Raises:
        CheckpointError: there are no text encoders.
        DatasetError: the cache cannot be written.
    """
    names = sorted(set(texts))
    rows = {text: row for row, text in enumerate(names)}
    if not encoders.is_dir():
        _pipeline(encoders, device)  # which raises the error
    try:
        fingerprint = contents_fingerprint(encoders, _ENCODERS)
        own = folder / _hashed([fingerprint, tokens, names])
        made_by = _hashed([fingerprint, tokens])
        with alone_in(own, "encoding texts", wait=True):
            name_rows(own, made_by, names)
            done = _done(own, len(names))
            if done < len(names):
                pipeline = cache(lambda: _pipeline(encoders, device))
                _fill(own, names, done, _known(own, made_by), lambda text: _encoded(pipeline(), text, tokens), progress)
    except OSError as error:
        raise DatasetError(
            f"The cache '{folder}' could not be made: {error.strerror or error}. Free some disk space, or name "
            "another folder."
        ) from error
    return TextCache(own, rows)


def _done(folder: Path, count: int) -> int:
    """How many texts are encoded; 0 if the record or an array is missing or damaged."""
    index = folder / _INDEX
    if not index.is_file():
        return 0
    try:
        done: Any = read_json(index)["done"]
        whole = all(
            open_rows(folder / name, shape, np.float16) is not None and shape[0] == count
            for name, shape in zip(_ARRAYS, _shapes(folder), strict=True)
        )
        if whole and type(done) is int and 0 <= done <= count:
            return done
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        pass
    _LOG.warning("The cache '%s' is damaged; its texts are encoded again.", folder)
    return 0


def _hashed(value: list[Any]) -> str:
    return blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


def _known(folder: Path, made_by: str) -> dict[str, TextCache]:
    """The texts that the sets beside one have encoded alike."""
    found: dict[str, TextCache] = {}
    for other, names in sets_beside(folder, made_by):
        done = _done(other, len(names))
        if done:
            known = TextCache(other, {name: row for row, name in enumerate(names)})
            found.update(dict.fromkeys(names[:done], known))
    return found


def _encoded(pipeline: Any, text: str, tokens: int) -> list[np.ndarray]:
    with torch.no_grad():
        whole, pooled, _ = pipeline.encode_prompt(prompt=text, prompt_2=None, max_sequence_length=tokens)
    return [value[0].float().cpu().numpy().astype(np.float16) for value in (whole, pooled)]


def _fill(
    folder: Path,
    names: list[str],
    start: int,
    known: dict[str, TextCache],
    encode: Callable[[str], list[np.ndarray]],
    progress: Progress,
) -> None:
    arrays: list[RowArray] = []
    progress.start(sum(name not in known for name in names[start:]))
    shapes: list[tuple[int, ...]] = []
    for row in range(start, len(names)):
        name = names[row]
        values = known[name].stored(name) if name in known else encode(name)
        if not arrays:
            shapes = [(len(names), *value.shape) for value in values]
            arrays = [_array(folder / file, shape, start == 0) for file, shape in zip(_ARRAYS, shapes, strict=True)]
        for array, value in zip(arrays, values, strict=True):
            array.write([row], value[None])
        if (row + 1) % 64 == 0 or row + 1 == len(names):
            for array in arrays:
                array.sync()
            write_whole(folder / _INDEX, json.dumps({"done": row + 1, "shapes": shapes}).encode())
        if name not in known:
            progress.step()


def _array(path: Path, shape: tuple[int, ...], new: bool) -> RowArray:
    if new:
        allocate(path, shape, np.float16)
    return _open(path.parent, path.name, shape, writable=True)


def _open(folder: Path, name: str, shape: tuple[int, ...], writable: bool = False) -> RowArray:
    array = open_rows(folder / name, shape, np.float16, writable)
    if array is None:
        raise DatasetError(f"The cache '{folder}' was changed while it was read. Run again to rebuild it.")
    return array


def _shapes(folder: Path) -> list[tuple[int, ...]]:
    """Of both arrays.

    Raises:
        OSError, KeyError, TypeError, ValueError: the record of them is damaged.
    """
    shapes: Any = read_json(folder / _INDEX)["shapes"]
    found = [tuple(shape) for shape in shapes]
    if len(found) != 2 or not all(shape and all(type(side) is int and side > 0 for side in shape) for shape in found):
        raise ValueError("the shapes are none")
    return found


def _pipeline(folder: Path, device: torch.device | str) -> Any:
    low = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    return open_text_encoders(folder, low).to(device)
