"""Several processes that edit one folder: plain ones side by side, and Ray's workers, some of which are killed."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from folder_runs import Run, contents, draw_folder, start, title

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="processes and signals of Linux"),
]
MANY, KILLS = 500, 10
SOME = 40


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sources, and beside it what one process makes of them."""
    return made_by_one(tmp_path_factory.mktemp("some"), SOME)


def made_by_one(root: Path, count: int) -> Path:
    sources = draw_folder(root, count)
    alone = start(sources, root / "alone")
    assert alone.ended() == 0, alone.said()
    return sources


def wait_until(true: Callable[[], object], run: Run, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline and run.process.poll() is None, run.said()
        time.sleep(0.02)


def results(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells a file from another that has replaced it."""
    if not folder.is_dir():
        return {}
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("[0-9]*.png")}


def test_two_plain_runs_edit_each_picture_once(some: Path, tmp_path: Path) -> None:
    runs = [start(some, tmp_path / "out") for _ in range(2)]
    assert [run.ended() for run in runs] == [0, 0], runs[0].said() + runs[1].said()
    edited = [run.counts()[0] for run in runs]
    assert sum(edited) == SOME and min(edited) > 0
    assert contents(tmp_path / "out") == contents(some.parent / "alone")


def test_workers_that_are_killed_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    sources, out = made_by_one(tmp_path, MANY), tmp_path / "out"
    choose = random.Random(0)  # noqa: S311 - which worker is killed
    first_seen: dict[str, tuple[int, int]] = {}
    run = start(sources, out, "--ray", "--workers=2")
    for kill in range(KILLS):

        def is_due(number: int = (kill + 1) * MANY // (KILLS + 2)) -> bool:
            first_seen.update({name: found for name, found in results(out).items() if name not in first_seen})
            return len(first_seen) >= number and bool(run.workers())

        wait_until(is_due, run)
        choose.choice(run.workers()).kill()
    assert run.ended() == 0, run.said()
    assert sum(run.counts()) == MANY, run.said()
    assert contents(out) == contents(tmp_path / "alone")
    assert len(first_seen) > MANY * KILLS // (KILLS + 2) - 1
    assert first_seen.items() <= results(out).items()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_ended_command_leaves_no_process_and_is_resumed(some: Path, tmp_path: Path, sent: signal.Signals) -> None:
    out, expected = tmp_path / "out", contents(some.parent / "alone")
    folders = set(Path(tempfile.gettempdir()).glob("relation-*"))
    run = start(some, out, "--ray", "--workers=2")
    wait_until(lambda: len(results(out)) >= 4, run)
    processes = run.below()
    assert any("raylet" in title for title in map(psutil.Process.name, processes))
    run.process.send_signal(sent)
    assert run.ended(60) == (-signal.SIGKILL if sent == signal.SIGKILL else 130)
    _, alive = psutil.wait_procs(processes, timeout=90 if sent == signal.SIGKILL else 10)
    assert alive == []
    if sent != signal.SIGKILL:  # else nobody is left who could
        assert set(Path(tempfile.gettempdir()).glob("relation-*")) == folders
    there = results(out)
    assert {name: data for name, data in expected.items() if name in there} == {
        name: data for name, data in contents(out).items() if name in there
    } and 4 <= len(there) < SOME
    again = start(some, out, "--ray", "--workers=1")
    assert again.ended() == 0, again.said()
    assert again.counts() == (SOME - len(there), len(there))
    assert contents(out) == expected
    assert there.items() <= results(out).items()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("begun", ["gcs_server", "raylet"])
def test_a_command_that_is_told_to_end_while_ray_starts_ends_at_once(
    some: Path, tmp_path: Path, sent: signal.Signals, begun: str
) -> None:
    folders = set(Path(tempfile.gettempdir()).glob("relation-*"))
    run = start(some, tmp_path / "out", "--ray", "--workers=2")
    wait_until(lambda: any(begun in title(one) for one in run.below()), run)
    processes = run.below()
    asked = time.monotonic()
    run.process.send_signal(sent)
    assert run.ended(60) == 130, run.said()
    assert time.monotonic() - asked < 15, "at a load of 2; Ray's own way takes half a minute"
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    assert set(Path(tempfile.gettempdir()).glob("relation-*")) == folders


def test_a_cluster_that_runs_is_joined_and_failures_are_told_by_picture(some: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    for folder in (sources, tmp_path / "out"):
        folder.mkdir()
    for name in ("before.png", "after.png"):
        os.link(some.parent / name, tmp_path / name)
    for number in range(6):
        os.link(some / f"{number:04d}.png", sources / f"{number:04d}.png")
    (sources / "broken.png").write_bytes(b"no picture")
    (tmp_path / "out" / "0001.png").write_bytes((some.parent / "alone" / "0000.png").read_bytes())  # of another source
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryDirectory(prefix="ra-", ignore_cleanup_errors=True) as folder:
        head = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
        options = [
            "--num-cpus=2",
            "--include-dashboard=false",
            f"--temp-dir={folder}",
            "--object-store-memory=100000000",
        ]
        with (tmp_path / "head.log").open("wb") as log:
            cluster = subprocess.Popen([*head, *options], env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while b"Ray runtime started" not in (tmp_path / "head.log").read_bytes():
                assert time.monotonic() < deadline and cluster.poll() is None, (tmp_path / "head.log").read_text()
                time.sleep(0.2)
            run = start(sources, tmp_path / "out", f"--ray=127.0.0.1:{port}", "--workers=2", **settings)
            assert run.ended() == 1
            few = start(sources, tmp_path / "out", f"--ray=127.0.0.1:{port}", "--workers=3", **settings)
            assert few.ended() == 1 and "has 2 processor cores for 3 workers" in few.said(), few.said()
        finally:
            below = psutil.Process(cluster.pid).children(recursive=True)
            cluster.terminate()
            cluster.wait(60)
            psutil.wait_procs(below, timeout=20)
    said = run.said()
    assert run.counts()[0] == 5 and "1 of 7 pictures failed" in said, said
    assert "Cannot read the picture" in said and "broken.png" in said
    assert "1 results were made of another source" in said and "left as they are: 0001.png" in said
    alone = contents(some.parent / "alone")
    assert {name: data == alone[name] for name, data in contents(tmp_path / "out").items()} == {
        f"{number:04d}.png": number != 1 for number in range(6)
    }
