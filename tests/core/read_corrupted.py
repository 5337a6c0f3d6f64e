"""Reads corrupted files in a process of its own, since a reader that trusts them may crash. Writes a line for each.

Run as ``python read_corrupted.py FOLDER FIRST``, where the folder is empty and FIRST is the number of the file to begin
with. The adapters that hold code are read twice, at last with code allowed, to prove that it would run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from corruption import Corruption

HERE = Path(__file__).resolve().parent
MOST_MEMORY = 12 << 30
"""Bytes of address space: what a file can claim more of is refused, not tried."""


def limit_memory() -> None:
    """Refuse absurd allocations, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def state_of(folder: Path) -> dict[str, str]:
    """What a folder holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "-"
        for path in sorted(folder.rglob("*"))
    }


def read_adapter(path: Path) -> None:
    """Open and encode; everything must be finite."""
    import torch
    from random_weights import random_relation

    from relation_core.adapter.adapter import open_adapter

    relation = random_relation(open_adapter(path))
    for part in (relation.tokens, relation.keys_values.keys, relation.keys_values.values):
        assert part.dtype == torch.float32 and part.isfinite().all()


def read_vision(path: Path) -> None:
    """Open, pool random patches with the head, and encode what came out with a good adapter."""
    import torch
    from corrupted_vision import matching_adapter

    from relation_core.flux.attention import torch_attention
    from relation_core.relation.relation import encode_relation
    from relation_core.vision.pooling_head import AttentionPoolingHead
    from relation_core.vision.vision_file import open_vision

    vision = open_vision(path)
    head = AttentionPoolingHead(vision.config, torch.nn, torch_attention, "cpu", torch.float32)
    head.load(vision.head)
    with torch.inference_mode():
        pooled = head(torch.randn(2, 4, vision.config.hidden_size, generator=torch.Generator().manual_seed(0)))
    thumbnails = torch.zeros(1, 128, 256, 3, dtype=torch.uint8)
    adapter = matching_adapter(path.parent.parent)
    relation = encode_relation(adapter, pooled[None], thumbnails, 1.0, "cpu", torch.float32)
    assert relation.keys_values.keys.isfinite().all() and relation.keys_values.values.isfinite().all()


def read_unsafely(path: Path) -> None:
    """Read as an unsafe reader would."""
    import pickle

    import torch

    try:
        torch.load(path, weights_only=False)
    except Exception:
        pickle.loads(path.read_bytes())


def outcome_of(read: Callable[[Path], None], path: Path) -> tuple[str, str]:
    """What reading a file came to, in a word and in the words of the error."""
    from relation_core.errors import RelationAdapterError

    try:
        read(path)
    except RelationAdapterError as error:
        return "refused", str(error)
    except BaseException as error:
        return f"raised {type(error).__name__}", str(error)
    return "read", ""


def corruptions() -> list[tuple[str, Corruption]]:
    """The files in their order, each with how it is read."""
    from corrupted_adapters import corrupted_adapters
    from corrupted_vision import corrupted_vision

    adapters = corrupted_adapters().values()
    return [
        *(("adapter", corruption) for corruption in adapters),
        *(("vision", corruption) for corruption in corrupted_vision().values()),
        *(("unsafe", corruption) for corruption in adapters if corruption.live),
    ]


def main(folder: str, first: str) -> None:
    """Read the files, from number ``first`` on."""
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    import torch

    from tests.watched import begin, end

    readers = {"adapter": read_adapter, "vision": read_vision, "unsafe": read_unsafely}
    torch.set_num_threads(1)  # the tensors are tiny
    limit_memory()
    warnings.simplefilter("ignore")
    faulthandler.enable()
    for number, (group, corruption) in list(enumerate(corruptions()))[int(first) :]:
        name = f"{group} {corruption.name}"
        begin(name)
        place = Path(folder) / str(number)
        place.mkdir()
        path = corruption.put(place)
        before = state_of(place)
        outcome, message = outcome_of(readers[group], path)
        ran, changed = (place / "marker").exists(), state_of(place) != before
        end(name, outcome, message, ran, changed)


if __name__ == "__main__":
    main(*sys.argv[1:])
