"""Runs builds as a user does, kills them, and reads what they made."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.command_line import run_apart

HIDDEN = ".relation-adapter"
"""How the names of locks and unfinished files begin, which a killed process leaves to the next."""
ROOT = Path(__file__).resolve().parents[3]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "relation_tools", *map(str, arguments)]


run = run_apart
"""In the tests' own process; those that kill a command start :func:`command` in one of its own."""


def kill_after(seconds: float, *arguments: object, whole_group: bool) -> int | None:
    """Start a command and kill it without warning, with its helpers or alone; give its process if it still ran."""
    due = time.monotonic() + seconds
    return kill_once(lambda: time.monotonic() >= due, *arguments, whole_group=whole_group)


def kill_once(due: Callable[[], bool], *arguments: object, whole_group: bool) -> int | None:
    """The same, once something has come true."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not due():
        time.sleep(0.01)
    running = process.poll() is None
    if running:
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    return process.pid if running else None


def tree(folder: Path) -> dict[str, str]:
    """Give the digest of every file that a user sees.

    Helpers of a killed process may still write. ``os.walk``, unlike ``rglob``, passes over folders that vanish.
    """
    found: dict[str, str] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".build" and not name.startswith(HIDDEN))
        for path in (Path(place) / name for name in sorted(files) if not name.startswith(HIDDEN)):
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def pictures_in(folder: Path) -> int:
    """How many there are by now."""
    return sum(name.endswith((".jpg", ".png")) for _, _, files in os.walk(folder) for name in files)


def samples(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def problems(out: Path) -> list[dict[str, str]]:
    return samples(out / "problems.jsonl")


def pixels(path: Path) -> bytes:
    """Hash a picture by a way of its own, apart from the code under test."""
    array = np.asarray(Image.open(path).convert("RGB"))
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).digest()


def uses(file: Path) -> dict[str, dict[str, Counter[str]]]:
    """Count, task by task, how often each picture is exemplar and source."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for sample in samples(file):
        task = sample["source"].split("/")[1]
        assert sample["cond1"].split("/")[1] == task
        roles = found.setdefault(task, {"exemplar": Counter(), "source": Counter()})
        roles["exemplar"][sample["cond1"]] += 1
        roles["source"][sample["source"]] += 1
    return found


def assert_balanced(file: Path, pictures: int) -> None:
    """Every one of a task's pictures is exemplar, and source, equally often within one."""
    for task, roles in uses(file).items():
        names = set(roles["exemplar"]) | set(roles["source"])
        assert len(names) == pictures, task
        for role, count in roles.items():
            times = [count[name] for name in names]
            assert max(times) - min(times) <= 1, (task, role)


def assert_no_leak(out: Path) -> None:
    """No picture of the test file is in the training file, by name or by its pixels."""
    sides: list[set[bytes]] = []
    for name in ("train.jsonl", "test.jsonl"):
        names = {sample[key] for sample in samples(out / name) for key in ("cond1", "cond2", "source", "target")}
        assert names
        sides.append({pixels(out / name) for name in names})
    assert not sides[0] & sides[1]


def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "build.json").read_text())


def build_told(pairs: Path, out: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Build; give the problems by their kind, as where, picture and reason."""
    run("dataset", "build", pairs, out, "--test-pairs", 0, "--processes", 1)
    found: dict[str, list[tuple[str, str, str]]] = {"broken": [], "note": [], "duplicate": []}
    for one in problems(out):
        found[one["kind"]].append((one["where"], one["picture"], one["reason"]))
    return found


def used(out: Path) -> set[str]:
    return {sample["text"] for sample in samples(out / "train.jsonl")}
