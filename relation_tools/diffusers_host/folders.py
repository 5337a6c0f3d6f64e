"""Model folders in the form that diffusers and transformers save, read by our own reader of weights.

The libraries keep weights mapped from the disk: where a file is cut short meanwhile, the process ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from relation_core.errors import CheckpointError, RelationAdapterError, printable
from relation_core.files.json_file import read_json
from relation_core.files.regular_file import open_regular
from relation_core.weights.checkpoint import read_checkpoint
from relation_core.weights.kinds import shortened
from relation_core.weights.stored_tensor import StoredTensor

from .strict_load import check_shapes, checked, load_strictly

_WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
_INDEX = ".index.json"
_QUANTISED = "quantization_config"
"""What another program that quantised a model left in its settings."""
_MOST_BYTES = 64 << 20
"""Of a tokenizer's files."""
_MOST_NUMBER = 1 << 22
"""In a model's settings; the largest of FLUX.1's models is a vocabulary of 49408 words."""
_WORDS = 300


def has_config(folder: Path) -> bool:
    """Whether a folder holds a saved model."""
    return (folder / "config.json").is_file()


def open_folder(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a model that diffusers saved, from the disk alone.

    Sizes in ``config.json`` are held against the weights before anything is allocated.

    Args:
        kind: the model's class.
        folder: with its ``config.json`` and weights.
        dtype: what it computes in.

    Raises:
        CheckpointError: there is no such model.
    """
    return _opened(kind, folder, dtype, _model)


def outlined_folder(kind: Any, folder: Path) -> tuple[Any, Mapping[str, StoredTensor]]:
    """Make a model that diffusers saved, without values, from its settings and the headers of its weights.

    Returns:
        The model on the meta device, and its tensors as they are stored: packed, if another program quantised them.

    Raises:
        CheckpointError: there is no such model.
    """
    config = _config(folder)
    with _whole(kind.__name__, folder):
        stored = stored_tensors(folder)
        _check_layers(config, stored, folder)
        with torch.device("meta"):
            model = kind.from_config(config)
        if _QUANTISED not in config:
            check_shapes(model, {name: tensor.shape for name, tensor in stored.items()}, folder)
        return model, stored


def open_encoder(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a model that transformers saved, likewise.

    Args:
        kind: the model's class.
        folder: with its ``config.json`` and weights.
        dtype: what it computes in.

    Raises:
        CheckpointError: there is no such model.
    """
    return _opened(kind, folder, dtype, _encoder)


def _opened(
    kind: Any,
    folder: Path,
    dtype: torch.dtype,
    load: Callable[[Any, dict[str, Any], Mapping[str, StoredTensor], Path, torch.dtype], Any],
) -> Any:
    """Find a model's settings and tensors, and let ``load`` make it of them."""
    config = _config(folder)
    with _whole(kind.__name__, folder):
        if _QUANTISED in config:  # only the library knows how to unpack it
            return kind.from_pretrained(folder, dtype=dtype, local_files_only=True)
        stored = stored_tensors(folder)
        _check_layers(config, stored, folder)
        return load(kind, config, stored, folder, dtype)


def _model(
    kind: Any, config: dict[str, Any], stored: Mapping[str, StoredTensor], folder: Path, dtype: torch.dtype
) -> Any:
    with torch.device("meta"):
        model = kind.from_config(config)
    check_shapes(model, {name: tensor.shape for name, tensor in stored.items()}, folder)
    return load_strictly(model, {name: tensor.load(dtype) for name, tensor in stored.items()}, folder)


def _encoder(
    kind: Any, table: dict[str, Any], stored: Mapping[str, StoredTensor], folder: Path, dtype: torch.dtype
) -> Any:
    config = kind.config_class.from_dict(table)
    with torch.device("meta"):
        expected = sum(parameter.numel() for parameter in kind(config).parameters())
    found = sum(tensor.numel() for tensor in stored.values())
    if not expected / 2 <= found <= 2 * expected:  # shared weights may be there once or twice
        raise CheckpointError(
            f"The weights in {folder} have {found:,} values, and its config.json describes {expected:,}. Expected "
            "as many: download the folder again."
        )
    model, missing = kind.from_pretrained(
        None,
        config=config,
        state_dict=checked({name: tensor.load() for name, tensor in stored.items()}, folder),
        dtype=dtype,
        output_loading_info=True,
    )
    if missing["missing_keys"] or missing["mismatched_keys"]:
        names = sorted(map(str, (*missing["missing_keys"], *missing["mismatched_keys"])))
        raise CheckpointError(
            f"There are no weights {shortened(names, 3)} in {folder}. Expected a complete model: download the "
            "folder again."
        )
    return model.eval()


def stored_tensors(folder: Path) -> Mapping[str, StoredTensor]:
    """Find the tensors of a model's folder, in one file or in several with an index.

    Raises:
        CheckpointError: there are none, or a file is not whole.
    """
    for name in _WEIGHTS:
        if (folder / name).exists():
            return read_checkpoint(folder / name).stored
        if (folder / f"{name}{_INDEX}").exists():
            return {name: tensor for part in _parts(folder / f"{name}{_INDEX}") for name, tensor in part.items()}
    raise CheckpointError(
        f"{folder} does not contain a complete model: it has no weights. Expected {_WEIGHTS[0]} or {_WEIGHTS[1]} "
        "beside its config.json: download the folder again."
    )


def check_files(folder: Path) -> None:
    """Refuse a folder of settings in which a library would wait, or read without end.

    Raises:
        CheckpointError: what lies there is no regular file, too large, or JSON of another form.
    """
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}; expected the folder of a whole pipeline. Check the path.")
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.name.startswith("."):
            continue
        try:
            if path.suffix == ".json":
                read_json(path, _MOST_BYTES)
            elif path.suffix in (".txt", ".model"):
                open_regular(path, _MOST_BYTES).close()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CheckpointError(f"{path} cannot be read ({reason}). Download the folder again.") from error


def _parts(index: Path) -> Iterator[Mapping[str, StoredTensor]]:
    try:
        table: Any = read_json(index)["weight_map"]
        names = sorted({str(name) for name in table.values()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index} is not a list of weights files. Download the folder again.") from error
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{index} names {name!r}; expected files beside it. Download the folder again.")
        yield read_checkpoint(index.with_name(name)).stored


def _config(folder: Path) -> dict[str, Any]:
    if not has_config(folder):
        raise CheckpointError(
            f"{folder} has no config.json; expected a model as diffusers saves it, or the folder of a whole pipeline. "
            "Check the path, or name the model's .safetensors file."
        )
    try:
        config: Any = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder / 'config.json'} cannot be read ({error}). Expected JSON: download the folder again."
        ) from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'} holds no settings. Download the folder again.")
    return cast("dict[str, Any]", config)


def check_numbers(file: Path, most: int) -> None:
    """Refuse settings, which can be read, with a larger number in them.

    Raises:
        CheckpointError: there is one.
    """
    config: Any = read_json(file, _MOST_BYTES)
    for name, value in _settings(cast("dict[str, Any]", config) if isinstance(config, dict) else {}):
        if isinstance(value, int) and value > most:
            raise CheckpointError(f"{file} says {name} = {str(value)[:20]}; expected at most {most:,}.")


def _check_layers(config: Mapping[str, Any], stored: Mapping[str, StoredTensor], folder: Path) -> None:
    """Refuse more layers than there are tensors: making them takes time and memory, even without values."""
    check_numbers(folder / "config.json", _MOST_NUMBER)
    for name, value in _settings(config):
        length = len(cast("list[Any]", value)) if isinstance(value, list) else value
        if re.search("layer|block|head", name) and isinstance(length, int) and length > max(256, 8 * len(stored)):
            raise CheckpointError(
                f"{folder / 'config.json'} says {name} = {str(length)[:20]}, and the weights there have {len(stored)} "
                "tensors. Expected what fits them: download the folder again."
            )


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _settings(cast("dict[str, Any]", value))
        elif isinstance(value, (int, list)):
            yield name, value


@contextmanager
def _whole(kind: str, folder: Path) -> Generator[None]:
    try:
        yield
    except RelationAdapterError:
        raise
    except Exception as error:  # both libraries, and the readers below them, raise whatever they run into
        raise CheckpointError(
            f"{folder} does not contain a complete {kind} ({first_words(error)}). Download the folder again."
        ) from error


def first_words(error: Exception) -> str:
    """What a library's error says, shortened and on one line."""
    return printable(" ".join(str(error).split()))[:_WORDS] or type(error).__name__
