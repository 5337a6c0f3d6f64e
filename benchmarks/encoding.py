"""The cost of opening an adapter and encoding one exemplar pair, ours and the naive way, each in a fresh process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch

from relation_core.adapter.adapter import open_adapter
from relation_core.relation.relation import encode_relation

from .comfyui import start_comfyui
from .memory import PeakMemory, memory, usual_memory
from .naive import load_naively
from .sizes import BY_NAME, Sizes

OURS, NAIVE, BESIDE_SIGLIP = "ours", "naive", "ours beside SigLIP"
ROUNDS = 3
"""How often a process repeats what it times."""


def measure_encoding(folder: Path, sizes: Sizes, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Encode with ``adapter.bin``, ``adapter.safetensors`` and ``vision.safetensors`` of a folder, the ways in turn."""
    files = ("adapter.bin", "adapter.safetensors")
    alone = [(OURS, file, dtype) for dtype in sizes.dtypes for file in files] + [(NAIVE, files[0], sizes.dtypes[-1])]
    beside = [(BESIDE_SIGLIP, files[1], dtype) for dtype in sizes.dtypes]  # once: it repeats by itself
    rows = []
    for way, file, dtype in [*beside, *alone * sizes.encodings]:
        result = folder / "result.json"
        arguments = (way, sizes.name, str(folder / file), str(folder / "vision.safetensors"), dtype, str(result))
        command = [sys.executable, "-m", "benchmarks.encoding", *arguments]
        subprocess.run(command, check=True, env=usual_memory())  # noqa: S603
        rows.append({"way": way, "file": file, "dtype": dtype, **json.loads(result.read_text())})
        say(f"{way} {file} {dtype}: {rows[-1]['encode_seconds']:.2f} s")
    return rows


def measure_conversion(folder: Path) -> dict[str, Any]:
    """Convert ``adapter.bin`` of a folder with the command line, and watch its process."""
    source, target = (str(folder / f"adapter.{suffix}") for suffix in ("bin", "safetensors"))
    start = time.perf_counter()
    command = [sys.executable, "-m", "relation_tools", "weights", "convert", source, target]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=usual_memory())  # noqa: S603
    with process, PeakMemory(process.pid) as watched:
        status = process.wait()
    if status:
        raise SystemExit(f"The conversion ended with status {status}.")
    return {"seconds": time.perf_counter() - start, "peak": asdict(watched.peak)}


@torch.inference_mode()
def encode_ours(sizes: Sizes, adapter_file: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Open an adapter and encode one pair, with nothing else in the process."""
    _seconds_to_read(adapter_file)
    before, start = memory(), time.perf_counter()
    with PeakMemory() as opening:
        adapter = open_adapter(adapter_file)
        open_seconds = time.perf_counter() - start
    pooled = _pooled(sizes)
    (seconds, relation), added = _watched(lambda: encode_relation(adapter, pooled, _THUMBNAIL, 1.0, "cpu", dtype))
    return {
        "open_seconds": open_seconds,
        "open_anonymous": opening.peak.anonymous - before.anonymous,
        "open_resident": opening.peak.resident - before.resident,
        "encode_seconds": seconds,
        **added,
        "held": relation.keys_values.nbytes,
        "hash": _hash(relation.keys_values.keys, relation.keys_values.values),
    }


@torch.inference_mode()
def encode_naively(sizes: Sizes, adapter_file: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Load an adapter whole and encode one pair, with nothing else in the process."""
    _seconds_to_read(adapter_file)
    pooled = _pooled(sizes)[0].to(dtype)

    def work() -> tuple[float, int]:
        open_seconds, adapter = _clocked(lambda: load_naively(adapter_file, sizes.adapter, dtype))
        kept.append((adapter, adapter(pooled)))
        return open_seconds, sum(parameter.nbytes for parameter in adapter.parameters())

    kept: list[Any] = []  # as it is while sampling
    (seconds, (open_seconds, held)), added = _watched(work)
    return {"open_seconds": open_seconds, "encode_seconds": seconds - open_seconds, **added, "held": held}


@torch.inference_mode()
def encode_beside_siglip(
    host: Any, sizes: Sizes, adapter_file: Path, vision_file: Path, dtype: torch.dtype
) -> dict[str, Any]:
    """Encode one pair as the node does, in ComfyUI: SigLIP first, then the adapter."""
    exemplar, tower, adapters, relations = (
        host.module(name)
        for name in (
            "relation_core.vision.exemplar",
            "nodes.vision_tower",
            "relation_core.adapter.adapter",
            "relation_core.relation.relation",
        )
    )
    siglip = tower.load_vision_tower(vision_file)
    pixels = exemplar.vision_pixels(_pair(), sizes.vision.image_size)
    open_seconds, adapter = _clocked(lambda: adapters.open_adapter(adapter_file))

    def encode() -> Any:
        return relations.encode_relation(adapter, siglip.pooled(pixels)[None], _THUMBNAIL, 1.0, "cpu", dtype)

    alone = _watched(lambda: siglip.pooled(pixels))[1]
    relation, added = _watched(encode)
    rounds = []
    for _ in range(ROUNDS):
        floor = _seconds_to_read(adapter_file) + _clocked(lambda: siglip.pooled(pixels))[0]
        rounds.append({"floor_seconds": floor, "seconds": _clocked(encode)[0]})
    return {
        "open_seconds": open_seconds,
        "encode_seconds": median(one["seconds"] for one in rounds),
        "floor_seconds": median(one["floor_seconds"] for one in rounds),
        "ratio": median(one["seconds"] / one["floor_seconds"] for one in rounds),
        "rounds": rounds,
        "siglip_peak_anonymous": alone["peak_anonymous"],
        **added,
        "held": relation[1].keys_values.nbytes,
    }


_THUMBNAIL = torch.zeros(1, 64, 128, 3, dtype=torch.uint8)


def _pooled(sizes: Sizes) -> torch.Tensor:
    return torch.randn(1, 2, sizes.adapter.vision_dim, generator=torch.Generator().manual_seed(4))


def _pair() -> list[Any]:
    from PIL import Image

    return [Image.linear_gradient("L").resize((384, 384)).rotate(angle).convert("RGB") for angle in (0, 90)]


def _seconds_to_read(file: Path) -> float:
    start = time.perf_counter()
    subprocess.run(["cat", str(file)], stdout=subprocess.DEVNULL, check=True)  # noqa: S603, S607
    return time.perf_counter() - start


def _clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _watched(work: Callable[[], Any]) -> tuple[tuple[float, Any], dict[str, int]]:
    """Do work; return its seconds and result, and what it added to memory."""
    before = memory()
    with PeakMemory() as watched:
        clocked = _clocked(work)
    after = memory()
    return clocked, {
        "peak_resident": watched.peak.resident - before.resident,
        "peak_anonymous": watched.peak.anonymous - before.anonymous,
        "after_anonymous": after.anonymous - before.anonymous,
    }


def _hash(*tensors: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _main() -> None:
    way, size, adapter_file, vision_file, dtype_name, result = sys.argv[1:]
    sizes, file, dtype = BY_NAME[size], Path(adapter_file), getattr(torch, dtype_name)
    if way == BESIDE_SIGLIP:
        with tempfile.TemporaryDirectory() as base:
            host = start_comfyui(Path(base) / "base")
            measured = encode_beside_siglip(host, sizes, file, Path(vision_file), dtype)
    else:
        measured = {OURS: encode_ours, NAIVE: encode_naively}[way](sizes, file, dtype)
    Path(result).write_text(json.dumps(measured))


if __name__ == "__main__":
    _main()
