"""Models that look at pictures, from folders as ``transformers`` saves them; nothing is downloaded."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..diffusers_host.folders import check_files, check_numbers, first_words
from ..fingerprints import weights_fingerprint
from .errors import EvaluationError
from .scorer import Maker

_MOST_PIXELS = 4096
"""Of a side that pictures are brought to."""


@contextmanager
def loading(what: str, folder: Path, such_as: str) -> Generator[None]:
    """Report whatever goes wrong while a model is loaded.

    Raises:
        EvaluationError: the block raised an error.
    """
    try:
        check_files(folder)
        yield
    except Exception as error:  # the library, and the readers below it, raise whatever they run into
        raise EvaluationError(
            f"Cannot load {what} from '{folder}': {first_words(error)} Expected a folder with config.json, "
            f"preprocessor_config.json and model.safetensors, such as a download of {such_as}."
        ) from error


def picture_processor(folder: Path, kind: str) -> Any:
    """Load what prepares pictures for a model; ``kind`` is its class in ``transformers``."""
    check_numbers(folder / "preprocessor_config.json", _MOST_PIXELS)
    # Its class depends on what is installed. Untyped: for one name of it, pyright reads 2,600 files.
    transformers: Any = importlib.import_module("transformers")
    made_by = getattr(transformers, kind)  # left out, it would ask whether to run code that lies in the folder
    processor = made_by.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    processor(images=[Image.new("RGB", (32, 32))], return_tensors="pt")
    return processor


def device() -> str:
    """Where models score."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def maker_of(folder: Path) -> Maker:
    """Name the model of a folder."""
    return Maker(folder.resolve().name, weights_fingerprint(folder))


def cosines(first: torch.Tensor, second: torch.Tensor) -> list[float]:
    """Give the cosine of each row of one with that of the other, (B, D) each."""
    return [float(cosine) for cosine in torch.nn.functional.cosine_similarity(first, second, dim=-1)]
