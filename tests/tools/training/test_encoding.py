"""Encoding before training: its progress is shown, and one process of each disk does it while the others wait."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from small_run import ROOT, SmallRun, as_toml

from relation_core.progress import Progress
from relation_tools.training.processes import start_processes
from relation_tools.training.trainer import Trainer
from tests.counted_progress import CountedProgress

ENCODES = "encode the pictures of train.jsonl"
WAITING = """
import sys, time
from datetime import timedelta
from relation_tools.training import processes
processes.PATIENCE = timedelta(seconds=float(sys.argv[1]))
accelerator = processes.start_processes(True, "no").accelerator
if accelerator.is_main_process:
    time.sleep(8)
accelerator.wait_for_everyone()
"""


def test_progress_is_shown(small_run: SmallRun, tmp_path: Path) -> None:
    shown: dict[str, CountedProgress] = {}

    @contextmanager
    def watched(what: str) -> Iterator[Progress]:
        shown[what] = CountedProgress()
        yield shown[what]

    settings = small_run.into(tmp_path / "run", steps=1)
    Trainer(replace(settings, data=replace(settings.data, cache=tmp_path / "cache")), watched)
    assert list(shown) == [ENCODES] and shown[ENCODES].complete


def test_processes_wait_for_what_takes_long() -> None:
    assert start_processes(True, "no").accelerator.init_handler.timeout >= timedelta(hours=12)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_both(port: int, *calls: tuple[object, ...]) -> tuple[list[int], list[str]]:
    """Run two processes as if each were the only one of its machine; give their statuses and what they said."""
    processes: list[subprocess.Popen[str]] = []
    for place, arguments in enumerate(calls):
        own = {"RANK": str(place), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "WORLD_SIZE": "2"}
        own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, *map(str, arguments)]
        environment = {**os.environ, **own}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=180)[1] for process in processes]
    return [process.returncode for process in processes], said


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_machines_encode_once_for_each_disk(small_run: SmallRun, tmp_path: Path, port: int, shared: bool) -> None:
    calls: list[tuple[object, ...]] = []
    for place in range(2):
        settings = small_run.into(tmp_path / f"run {place}", steps=1)
        cache = tmp_path / ("cache" if shared else f"cache {place}")
        settings = replace(settings, data=replace(settings.data, cache=cache))
        (tmp_path / f"{place}.toml").write_text(as_toml(settings), encoding="utf-8")
        calls.append(("-m", "relation_tools", "train", tmp_path / f"{place}.toml"))
    statuses, said = run_both(port, *calls)
    assert statuses == [0, 0], said
    assert [ENCODES in one for one in said] == [True, not shared]
    assert len(list(tmp_path.rglob("pooled.npy"))) == (1 if shared else 2)
    assert not list(tmp_path.rglob(".relation-adapter*")), "no mark is left"
    assert (tmp_path / "run 0" / "exported").is_dir() and not (tmp_path / "run 1").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "lives"), [(60, True), (2, False)])
def test_the_limit_of_waiting_is_the_runs_own(port: int, seconds: int, lives: bool) -> None:
    statuses, said = run_both(port, *[("-c", WAITING, seconds)] * 2)
    assert (statuses[1] == 0) == lives, said
