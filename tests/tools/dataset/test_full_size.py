"""A dataset of the size of Relation252K: 220 tasks, 33,000 small pictures. Run by ``make test-slow``."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest
from built import ROOT, assert_balanced, assert_no_leak, command, kill_after, run, summary, tree
from synthetic import Shape, categories, hub_dataset

pytestmark = pytest.mark.slow

FULL, TENTH = Shape(tasks=220, pictures=150), Shape(tasks=22, pictures=150)
KILLS = 50


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("full")
    (root / "categories.txt").write_text(json.dumps(categories(FULL)))
    return hub_dataset(root, FULL)


def _held(process: psutil.Process) -> float:
    try:
        return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def measured(*arguments: object) -> tuple[float, float]:
    """Run a command; return its seconds, and the most MiB that it and its helpers held at one moment."""
    start, peak = time.monotonic(), 0.0
    process = subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    watched = psutil.Process(process.pid)
    done = threading.Event()
    threading.Thread(target=lambda: (process.wait(), done.set()), daemon=True).start()
    while not done.wait(0.1):
        peak = max(peak, _held(watched))
    assert process.returncode == 0
    return time.monotonic() - start, peak


def test_33000_pictures(pairs: Path, tmp_path: Path) -> None:
    call = ("--categories", pairs / "categories.txt")
    seconds, peak = measured("dataset", "build", pairs, tmp_path / "out", *call)
    small_seconds, small_peak = measured("dataset", "build", hub_dataset(tmp_path / "tenth", TENTH), tmp_path / "small")
    print(f"33,000 pictures: {seconds:.1f} s, peak {peak:.0f} MiB; 3,300: {small_seconds:.1f} s, {small_peak:.0f} MiB")
    # The plan of names grows with the dataset, by less than 2 KiB a picture; nothing else does.
    assert peak - small_peak < 2 / 1024 * (33_000 - 3_300)
    found = summary(tmp_path / "out")
    assert (found["pictures"], found["tasks"], found["broken"], found["duplicates"]) == (33_000, 220, 0, 0)
    assert (found["train_samples"], found["test_samples"]) == (220 * 2000, 220 * 20)
    assert_balanced(tmp_path / "out" / "train.jsonl", 145)
    assert_balanced(tmp_path / "out" / "test.jsonl", 5)
    assert_no_leak(tmp_path / "out")
    assert "No problems." in run("dataset", "validate", tmp_path / "out").stdout


def test_killed_at_50_moments(pairs: Path, tmp_path: Path) -> None:
    call = ("--categories", pairs / "categories.txt")
    seconds, _ = measured("dataset", "build", pairs, tmp_path / "whole", *call, "--processes", 1)
    expected = tree(tmp_path / "whole")
    shutil.rmtree(tmp_path / "whole")
    out = tmp_path / "out"
    rng, kills, finished = random.Random(0), 0, 0  # noqa: S311
    while kills < KILLS:
        if kill_after(
            rng.uniform(0.3, seconds / 4), "dataset", "build", pairs, out, *call, whole_group=rng.random() < 0.5
        ):
            kills += 1
        else:  # it came to its end: begin again, with a part of the work undone
            finished += 1
            assert tree(out) == expected
            for record in (out / ".build" / "split").iterdir():
                if rng.random() < 0.7:
                    record.unlink()
        seen = tree(out)
        assert {name: expected[name] for name in seen} == seen
    run("dataset", "build", pairs, out, *call)
    assert tree(out) == expected
    print(f"killed {kills} times, came to its end {finished} times between; the result is byte-identical")
