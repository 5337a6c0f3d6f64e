"""The names of an adapter file's tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import CheckpointError
from ..weights.kinds import FileKind, quoted, recognise, shortened

ADAPTER_ADDRESS = "https://huggingface.co/handsomeWilliam/RelationAdapter"
ADAPTER_FILE = "ip_adapter-100000.bin"

PROJECTION_KEYS = (
    "image_proj.proj.0.weight",
    "image_proj.proj.0.bias",
    "image_proj.proj.2.weight",
    "image_proj.proj.2.bias",
    "image_proj.norm.weight",
    "image_proj.norm.bias",
)

_BLOCK_KEY = re.compile(r"ip_adapter\.(0|[1-9][0-9]{0,3})\.to_[kv]_ip\.weight")
_DATA_PARALLEL_PREFIX = re.compile(r"^(image_proj|ip_adapter)\.module\.")


def block_keys(index: int) -> tuple[str, str]:
    """Names of the key and the value projection of attention block ``index``."""
    return f"ip_adapter.{index}.to_k_ip.weight", f"ip_adapter.{index}.to_v_ip.weight"


def canonical_names(names: Iterable[str], path: Path) -> dict[str, str]:
    """Map canonical names to the names in the file.

    The released layout is ``image_proj.*`` and ``ip_adapter.<block>.to_{k,v}_ip.weight``; a ``module.`` that
    data-parallel training left inside a group is dropped. Every name must be known.

    Raises:
        CheckpointError: a name is unknown, missing or duplicated, or the file is of another kind.
    """
    source: dict[str, str] = {}
    for name in names:
        canonical = _DATA_PARALLEL_PREFIX.sub(r"\1.", name)
        if canonical in source:
            raise CheckpointError(
                f"{quoted(canonical)} appears twice in {path}, with and without 'module.'. {_remedy()}"
            )
        source[canonical] = name
    expected: set[str] = set(PROJECTION_KEYS)
    blocks = sum(1 for name in source if _BLOCK_KEY.fullmatch(name))
    for index in range(max(1, (blocks + 1) // 2)):
        expected.update(block_keys(index))
    if expected != source.keys():
        raise CheckpointError(_mismatch(path, source, expected))
    return source


def _mismatch(path: Path, source: Mapping[str, str], expected: set[str]) -> str:
    missing, unknown = sorted(expected - source.keys()), sorted(source.keys() - expected)
    found = recognise(unknown)
    if found is not None and found.kind is not FileKind.ADAPTER:
        return f"{path} is {found.kind}, not a RelationAdapter (it has {quoted(found.name)}). {_remedy()}"
    parts = [f"{path} does not have the tensors of a RelationAdapter."]
    if missing:
        parts.append(f"Missing: {shortened(missing)}.")
    if unknown:
        parts.append(f"Unknown: {shortened(unknown)}.")
    return " ".join([*parts, _remedy()])


def _remedy() -> str:
    return f"Expected {ADAPTER_FILE} from {ADAPTER_ADDRESS}, or that file converted to .safetensors."
