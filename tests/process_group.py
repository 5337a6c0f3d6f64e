"""Commands in process groups of their own, which signals end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
START, PATIENCE = 120.0, 30.0
"""Seconds to wait for what takes a few, and for what takes one, on a machine with much else to do."""


@contextmanager
def in_group(module: str, *arguments: object, **environment: str) -> Generator[subprocess.Popen[str]]:
    """Run a module; after the block none of its processes is left."""
    with _heeding_interrupts():
        started = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    with started as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _heeding_interrupts() -> Generator[None]:
    """Let no process that is started in the block ignore what ends it, as all do that a script starts with ``&``
    (SIGINT) or that run under ``nohup`` (SIGHUP)."""
    heeded = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.getsignal(number) for number in heeded}
    for number, handler in heeded.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something to come true while a command runs."""
    deadline = time.monotonic() + START
    while not true():
        assert process.poll() is None and time.monotonic() < deadline, process.poll()
        time.sleep(0.01)


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those that were started, apart from Python's own helper."""
    return [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]


def send(process: subprocess.Popen[str], number: int, whole_group: bool) -> None:
    """Signal a command, with its workers or alone."""
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def stop(process: subprocess.Popen[str], folder: Path, number: int, whole_group: bool) -> tuple[int, str]:
    """Signal a command; give its status and what it says, once its processes are gone and have cleaned up a folder."""
    send(process, number, whole_group)
    said, _ = process.communicate(timeout=PATIENCE)
    assert group_is_gone(process.pid, 5)
    assert "Traceback" not in said and "ignored" not in said, said
    assert list(folder.rglob(".relation-adapter*.parts")) == []
    return process.returncode, said


def group_is_gone(leader: int, patience: float = PATIENCE) -> bool:
    """Wait until no process of a group is left."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
