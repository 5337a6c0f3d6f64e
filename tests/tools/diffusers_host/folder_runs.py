"""Folders that the small model edits, by commands in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from relation_core.scenes.examples import draw_pair
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Run:
    """A command that edits a folder."""

    process: subprocess.Popen[bytes]
    log: Path

    def ended(self, seconds: float = 900) -> int:
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def counts(self) -> tuple[int, int]:
        """Pictures that it edited, and that were there."""
        found = re.search(r"(\d+) of \d+ pictures edited(?:, (\d+) were there)?", self.said())
        assert found, self.said()
        return int(found[1]), int(found[2] or 0)

    def below(self) -> list[psutil.Process]:
        """Its processes."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[psutil.Process]:
        """Those of Ray that edit."""
        return [one for one in self.below() if "MapWorker" in title(one)]


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def draw_folder(root: Path, count: int) -> Path:
    """Exemplars, and a folder of so many sources."""
    before, after = draw_pair("mirror", 1000)
    before.save(root / "before.png")
    after.save(root / "after.png")
    (root / "sources").mkdir()
    for number in range(count):
        draw_pair("mirror", number)[0].save(root / "sources" / f"{number:04d}.png")
    return root / "sources"


def arguments(sources: Path, out: Path, *options: str) -> Sequence[str]:
    files = {"model": FLUX, "adapter": ADAPTER, "vision": VISION, "vae": AUTOENCODER, "source": sources, "out": out}
    pair = {name: sources.parent / f"{name}.png" for name in ("before", "after")}
    named = [f"--{name}={path}" for name, path in {**files, **pair}.items()]
    return ["edit", *named, f"--steps={STEPS}", "--long-side=0", "--no-comparison", "--device=cpu", *options]


def start(sources: Path, out: Path, *options: str, **environment: str) -> Run:
    """Start a command, whose processes have one thread each, so that all of them compute the same bits."""
    log = out.with_suffix(f".{len(list(out.parent.glob('*.log')))}.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "relation_tools", *arguments(sources, out, *options)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    return Run(process, log)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
