"""A run-ready dataset and the folder of a finished run, made without a server."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TASKS = {"Depth": "Low-Level", "Rain": "Low-Level", "Lego": "Customized Generation", "Sketch <b>&": ""}
PER_TASK = 3
SIZE = (48, 40)
RESULT_SIZES = {2: (64, 48)}
"""Results of another size than their target, by sample; the others have the target's."""


@dataclass(frozen=True)
class FinishedRun:
    file: Path
    folder: Path

    def samples(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]

    def result(self, index: int) -> Path:
        return self.folder / "results" / f"{index:06d}.png"

    def target(self, index: int) -> Path:
        return self.file.parent / self.samples()[index]["target"]

    def scores(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]


def make_run(root: Path) -> FinishedRun:
    """Write 12 samples of 4 tasks; the results of all but the last, of which that of sample 4 equals its target."""
    data, folder = root / "dataset", root / "run"
    (folder / "results").mkdir(parents=True)
    lines: list[str] = []
    for number in range(len(TASKS)):
        (data / "pictures" / f"task{number}").mkdir(parents=True)
        for picture in range(PER_TASK):
            index = len(lines)
            stem = f"pictures/task{number}/{picture}"
            names = {key: f"{stem}_{key}.png" for key in ("cond1", "cond2", "source", "target")}
            for key, name in names.items():
                _picture(hash_of(index, key), SIZE).save(data / name)
            target = Image.open(data / names["target"])
            result = Image.blend(target, _picture(hash_of(index, "result"), SIZE), 0 if index == 4 else 0.05 * index)
            result.resize(RESULT_SIZES.get(index, SIZE)).save(folder / "results" / f"{index:06d}.png")
            lines.append(json.dumps({**names, "text": f"Edit <i>{index}</i> & naïve"}, ensure_ascii=False))
    table = {task: {"category": name, "folder": f"pictures/task{i}"} for i, (task, name) in enumerate(TASKS.items())}
    (data / "tasks.json").write_text(json.dumps(table))
    file = data / "test.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "results" / f"{len(lines) - 1:06d}.png").unlink()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "run.json").write_text(json.dumps({"samples": digest, "workflow": "", "seed": 1000}))
    failed = {
        "event": "failed",
        "sample": 11,
        "server": "http://x",
        "prompt": "",
        "message": "KSampler: <out> of memory",
    }
    (folder / "journal.jsonl").write_text(json.dumps(failed) + "\n")
    return FinishedRun(file, folder)


def hash_of(index: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{index} {key}".encode()).digest()[:4], "big")


def _picture(seed: int, size: tuple[int, int]) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.BICUBIC)
