"""Pictures a second of ``edit --ray`` by several workers against one, with the small model, in one run.

``python -m benchmarks.ray_workers`` takes about 4 minutes on 2 quiet cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from relation_core.scenes.examples import draw_pair
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_core.settings.bounds import COUNT
from relation_tools.commands.number_option import NumberOption

_MODELS = {"model": FLUX, "adapter": ADAPTER, "vision": VISION, "vae": AUTOENCODER}
_STEADY = (0.2, 0.9)
"""Shares of the results between which the speed is taken: all workers have their models, and none is done."""


def main() -> None:
    """Measure, and print a line for every number of workers and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_workers", description=__doc__)
    parser.add_argument("--pictures", type=NumberOption(COUNT), default=500, help="(%(default)s)")
    parser.add_argument(
        "--workers", type=NumberOption(COUNT), nargs="+", default=[1, 2, 1, 2], help="of each run in turn (1 2 1 2)"
    )
    options = parser.parse_args()
    speeds: dict[int, list[float]] = {}
    _say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {options.pictures} pictures, {STEPS} steps")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        _draw(folder, options.pictures)
        made = [folder / f"out{number}" for number in range(len(options.workers))]
        for out, workers in zip(made, options.workers, strict=True):
            _edit(folder, out, workers)
            speeds.setdefault(workers, []).append(_speed(out))
            _say(f"{workers} workers: {speeds[workers][-1]:.2f} pictures a second")
        different = sum(_contents(one) != _contents(other) for one, other in pairwise(made))
    _say("all runs made the same files" if not different else f"{different} runs differ")
    least = min(speeds)
    for workers in sorted(set(speeds) - {least}):
        ratio = median(speeds[workers]) / median(speeds[least])
        _say(f"{workers} workers against {least}: {ratio:.2f} times as many pictures a second (medians)")


def _draw(folder: Path, count: int) -> None:
    before, after = draw_pair("mirror", 1000)
    before.save(folder / "before.png")
    after.save(folder / "after.png")
    (folder / "sources").mkdir()
    for number in range(count):
        draw_pair("mirror", number)[0].save(folder / "sources" / f"{number:05d}.png")


def _edit(folder: Path, out: Path, workers: int) -> None:
    named = [f"--{name}={path}" for name, path in _MODELS.items()]
    pair = [f"--before={folder / 'before.png'}", f"--after={folder / 'after.png'}"]
    settings = [f"--steps={STEPS}", "--long-side=0", "--no-comparison", "--device=cpu"]
    places = [f"--source={folder / 'sources'}", f"--out={out}"]
    _run(["edit", *named, *pair, *settings, *places, "--ray", f"--workers={workers}"])


def _run(arguments: Sequence[str]) -> None:
    """Run a command, each of whose workers has one thread."""
    done = subprocess.run(  # noqa: S603 - this project's own command
        [sys.executable, "-m", "relation_tools", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def _speed(out: Path) -> float:
    """Results a second between the first and the last of the steady share, by the times of their files."""
    times = sorted(path.stat().st_mtime for path in out.iterdir())
    first, last = (int(share * (len(times) - 1)) for share in _STEADY)
    return (last - first) / (times[last] - times[first])


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
