"""Measure everything or a part of it, print the table, and write it with a chart into a folder."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from .bounds import same_relation_from_both_formats
from .comfyui import start_comfyui
from .encoding import measure_conversion, measure_encoding
from .machine import describe_machine
from .memory import KEEP_MEMORY, restarted_with
from .report import draw_chart, table
from .sizes import BY_NAME, FULL, Sizes
from .step import measure_steps
from .synthetic import write_adapter, write_vision
from .whole_edits import measure_edits

STEADY = {"OMP_WAIT_POLICY": "PASSIVE", **KEEP_MEMORY}
"""Threads that wait in a loop would multiply the noise of other processes."""
_DTYPES = "float32 alone where the processor has no instructions for bfloat16, which takes it 300 times as long"
ROOM = 13_000_000_000
"""Bytes of disk for the full-size files: the adapter, the converted one, SigLIP."""


def main() -> None:
    """Run the benchmark."""
    restarted_with(STEADY, "benchmarks")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--sizes", choices=BY_NAME, default="full", help="hours: full 2, quick 0.7; toy: seconds")
    parser.add_argument("--dtypes", choices=FULL.dtypes, nargs="+", default=list(FULL.dtypes), help=_DTYPES)
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS), help="the others stay as they were")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for the results")
    parser.add_argument("--folder", type=Path, help="where the temporary files go (13 GB)")
    options = parser.parse_args()
    sizes = replace(BY_NAME[options.sizes], dtypes=tuple(options.dtypes))
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        for part in options.parts:
            result = PARTS[part](Path(folder), sizes)
            (options.out / f"{part}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    files = [options.out / f"{part}.json" for part in PARTS]
    results = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()}
    text = table(results)
    (options.out / "result.md").write_text(text + "\n", encoding="utf-8")
    if "steps" in results:
        draw_chart(results["steps"]["rows"], options.out / "cost.png")
    sys.stdout.write(f"\n{text}\n\nWritten to {options.out}.\n")


def _measure_weights(folder: Path, sizes: Sizes) -> dict[str, Any]:
    if sizes.name != "toy" and shutil.disk_usage(folder).free < ROOM:
        raise SystemExit(f"{folder} has less than {ROOM / 1e9:.0f} GB of room. Name another folder with --folder.")
    before = os.getloadavg()[0]
    _say("writing random weights")
    write_adapter(folder / "adapter.bin", sizes.adapter)
    write_vision(folder / "vision.safetensors", sizes.vision)
    _say("converting")
    conversion = measure_conversion(folder)
    encoding = measure_encoding(folder, sizes, _say)
    if not same_relation_from_both_formats(encoding):
        raise SystemExit("The converted adapter gives another relation than the original.")
    return {"machine": describe_machine(sizes.name, before), "conversion": conversion, "rows": encoding}


def _measure_in_comfyui(measure: Callable[..., list[dict[str, Any]]], folder: Path, sizes: Sizes) -> dict[str, Any]:
    before = os.getloadavg()[0]
    rows = measure(_host(folder), sizes, _say)
    return {"machine": describe_machine(sizes.name, before), "rows": rows}


@cache
def _host(folder: Path) -> Any:
    return start_comfyui(folder / "comfyui")  # a process has one


PARTS: dict[str, Callable[[Path, Sizes], dict[str, Any]]] = {
    "weights": _measure_weights,  # while this process holds little
    "steps": partial(_measure_in_comfyui, measure_steps),
    "edits": partial(_measure_in_comfyui, measure_edits),
}


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {text}\n")


if __name__ == "__main__":
    main()
