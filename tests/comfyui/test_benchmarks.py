"""The benchmark works at toy size: every part runs in a real ComfyUI and says what it should."""

from __future__ import annotations

import importlib
import json
import mmap
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from types import ModuleType

import pytest
import torch

from comfyui_host.host import Host

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[ModuleType]:
    """The benchmark's modules; they import ``relation_core`` as the command line does, from the root."""
    before = list(sys.path)
    sys.path.append(str(ROOT))
    importlib.import_module("benchmarks.__main__")
    yield sys.modules["benchmarks"]
    sys.path[:] = before


@pytest.fixture(scope="module")
def folder(benchmarks: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    benchmarks.synthetic.write_adapter(folder / "adapter.bin", benchmarks.sizes.TOY.adapter)
    benchmarks.synthetic.write_vision(folder / "vision.safetensors", benchmarks.sizes.TOY.vision)
    return folder


def test_the_whole(benchmarks: ModuleType, host: Host, folder: Path, tmp_path: Path) -> None:
    sizes = benchmarks.sizes.TOY
    conversion = benchmarks.encoding.measure_conversion(folder)
    assert conversion["peak"]["anonymous"] > 0
    encodings = []
    for dtype in sizes.dtypes:
        kind = getattr(torch, dtype)
        for file in ("adapter.bin", "adapter.safetensors"):
            measured = benchmarks.encoding.encode_ours(sizes, folder / file, kind)
            encodings.append({"way": benchmarks.encoding.OURS, "file": file, "dtype": dtype, **measured})
        measured = benchmarks.encoding.encode_naively(sizes, folder / "adapter.bin", kind)
        encodings.append({"way": benchmarks.encoding.NAIVE, "file": "adapter.bin", "dtype": dtype, **measured})
        files = (folder / "adapter.safetensors", folder / "vision.safetensors")
        measured = benchmarks.encoding.encode_beside_siglip(host, sizes, *files, kind)
        encodings.append({"way": benchmarks.encoding.BESIDE_SIGLIP, "file": files[0].name, "dtype": dtype, **measured})
    assert benchmarks.bounds.same_relation_from_both_formats(encodings)
    steps = benchmarks.step.measure_steps(host, sizes, print)
    assert len(steps) == len(sizes.dtypes) * len(sizes.rounds) * (2 + len(sizes.pairs))
    for row in steps:
        rounds = sizes.rounds[row["side"]] * (1 if row["variant"] != benchmarks.step.BASE else 1 + len(sizes.pairs))
        assert row["seconds"] > 0 and len(row["runs"]) == rounds
        assert (row["in_hooks"] > 0) == ("pair" in row["variant"])
    machine = benchmarks.machine.describe_machine(sizes.name, 0.0)
    results = {
        "steps": {"machine": machine, "rows": steps},
        "weights": {"machine": machine, "conversion": conversion, "rows": encodings},
    }
    results = json.loads(json.dumps(results))
    text = benchmarks.report.table(results)
    for what in ("held for sampling in bfloat16, one pair | 0.0", "naive", "2 pairs", "128x128", "conversion"):
        assert what in text
    benchmarks.report.draw_chart(steps, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_whole_edits_are_set_beside_each_other(benchmarks: ModuleType, host: Host, dtype: str) -> None:
    whole, sizes = benchmarks.whole_edits, replace(benchmarks.sizes.TOY, dtypes=(dtype,))
    rows = whole.measure_edits(host, sizes, print)
    assert [(row["side"], row["way"]) for row in rows] == [(64, way) for way in whole.WAYS]
    assert all(row["seconds"] > 0 and row["dtype"] == dtype and len(row["runs"]) == 2 for row in rows)
    assert (rows[0]["ratio"], rows[0]["ratio_range"]) == (1.0, [1.0, 1.0])
    ratios = [run["seconds"] / plain["seconds"] for run, plain in rows[1]["runs"]]
    assert rows[1]["ratio"] == pytest.approx(mean(ratios))
    assert [plain for _, plain in rows[1]["runs"]] == [run for run, _ in rows[0]["runs"]]
    assert [row["watching"] > 0 for row in rows if "watching" in row] == [True]
    assert host.module("nodes.watch").WatchedForward.note.__name__ == "note"
    machine = benchmarks.machine.describe_machine(sizes.name, 0.0)
    lines = benchmarks.report.table({"edits": {"machine": machine, "rows": rows}}).splitlines()[-3:]
    ways, times = zip(*(line.split(" | ")[2:5:2] for line in lines), strict=True)
    assert list(ways) == list(whole.WAYS)
    assert [float(one.split()[0]) for one in times] == [pytest.approx(1 / row["ratio"], abs=0.006) for row in rows]


def test_whole_edits_that_gain_too_little_are_told(benchmarks: ModuleType) -> None:
    whole = benchmarks.whole_edits
    seconds = {(512, whole.AUTHORS): 54.0, (512, whole.REUSED): 40.0, (512, whole.RECIPE): 27.1}
    rows = [{"side": side, "way": way, "ratio": taken / 54.0} for (side, way), taken in seconds.items()]
    reused, recipe = benchmarks.bounds.bounded_figures({"edits": {"rows": rows}})
    assert reused.value == pytest.approx(1.35) and reused.holds
    assert recipe.value == pytest.approx(1.993, abs=1e-3) and not recipe.holds


def test_a_bound_that_is_not_kept_is_told(benchmarks: ModuleType) -> None:
    figure = benchmarks.bounds.Figure
    assert figure("a", 1.0, 1.0).holds
    assert not figure("a", 1.0001, 1.0).holds
    assert figure("a", 1.0, 1.0, least=True).holds
    assert not figure("a", 0.9999, 1.0, least=True).holds


def test_a_file_of_another_relation_is_told(benchmarks: ModuleType) -> None:
    rows = [{"way": benchmarks.encoding.OURS, "dtype": "float32", "hash": name} for name in "aab"]
    assert benchmarks.bounds.same_relation_from_both_formats(rows[:2])
    assert not benchmarks.bounds.same_relation_from_both_formats(rows)


def test_memory_is_seen(benchmarks: ModuleType) -> None:
    before = benchmarks.memory.memory()
    with benchmarks.memory.PeakMemory() as watched:
        # Straight from the system: an allocator may have as much left from what ran before in this process.
        block = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for _ in range(64):
            block.write(b"\1" * (1 << 20))
        held = benchmarks.memory.memory()
        deadline = time.monotonic() + 60  # the watching thread may wait long for its turn on a busy machine
        while watched.peak.anonymous < held.anonymous - (8 << 20) and time.monotonic() < deadline:
            time.sleep(0.002)
        block.close()
    assert 60 << 20 < held.anonymous - before.anonymous < 80 << 20
    assert watched.peak.anonymous >= held.anonymous - (8 << 20)
    assert benchmarks.memory.memory("0").anonymous == 0


def test_the_naive_way_is_the_same_method(benchmarks: ModuleType, folder: Path) -> None:
    """What is measured against ours computes the same keys and values, up to the norm of keys."""
    sizes = benchmarks.sizes.TOY
    naive = benchmarks.naive.load_naively(folder / "adapter.bin", sizes.adapter, torch.float32)
    pooled = benchmarks.encoding._pooled(sizes)
    with torch.inference_mode():
        adapter = sys.modules["relation_core.adapter.adapter"].open_adapter(folder / "adapter.bin")
        thumbnail = torch.zeros(1, 8, 16, 3, dtype=torch.uint8)
        encode = sys.modules["relation_core.relation.relation"].encode_relation
        ours = encode(adapter, pooled, thumbnail, 1.0, "cpu", torch.float32).keys_values
        for block, projected in enumerate(naive(pooled[0])):
            heads = sizes.adapter.heads
            keys, values = (part.unflatten(-1, (heads, -1)).transpose(0, 1) for part in projected)
            assert torch.allclose(
                torch.nn.functional.rms_norm(keys, keys.shape[-1:], eps=1e-5), ours.keys[block], atol=1e-5
            )
            assert torch.allclose(values, ours.values[block], atol=1e-5)
