"""Commands in a process that stands still at a lock, as if the machine had no time for it, while another runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.command_line import run

ROOT = Path(__file__).resolve().parents[1]
NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9"}
STOPS_AT_A_LOCK = """
import os, signal, sys
seen, wanted = [], ["opened", "locked"] * int(os.environ["STOPS_AT_LOCK"])
def watch(event, arguments):
    if seen == wanted:
        seen.append("stopped")
        os.kill(os.getpid(), signal.SIGSTOP)
    elif event == "open" and len(seen) % 2 == 0 and ".relation-adapter" in str(arguments[0]):
        seen.append("opened")
    elif event == "fcntl.flock" and len(seen) % 2 == 1:
        seen.append("locked")
sys.addaudithook(watch)
"""


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "relation_tools", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **NO_HUB, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def stopped(folder: Path, *arguments: object, lock: int = 1, **environment: str) -> Generator[subprocess.Popen[str]]:
    """A command that stands still once it has taken so many locks."""
    (folder / "hooks").mkdir()
    (folder / "hooks" / "sitecustomize.py").write_text(STOPS_AT_A_LOCK)
    hooks = {"PYTHONPATH": str(folder / "hooks"), "STOPS_AT_LOCK": str(lock)}
    process = started(*arguments, **hooks, **environment)
    try:
        _, state = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(state), process.stdout.read() if process.stdout else ""
        yield process
    finally:
        process.kill()
        process.wait()


def left_over(folder: Path) -> list[Path]:
    return list(folder.rglob(".relation-adapter*"))


def refused(folder: Path, work: str, *arguments: object, finishes: bool = True) -> None:
    """Hold that the second is refused, and that the first ends as if it had been alone."""
    with stopped(folder, *arguments) as first:
        said = run(*arguments, status=1, environment=NO_HUB)
        assert f"Another process is {work} '" in said and "wait for it to finish" in said
        first.send_signal(signal.SIGCONT)
        told, _ = first.communicate(timeout=120)
        assert (first.returncode == 0) == finishes and "Traceback" not in told, told
    assert left_over(folder) == []


def both_whole(folder: Path, made: Path, *arguments: object) -> None:
    """Hold that the second makes the whole file, and that the first makes the same once more."""
    with stopped(folder, *arguments) as first:
        run(*arguments)
        whole = made.read_bytes()
        made.unlink()
        first.send_signal(signal.SIGCONT)
        told, _ = first.communicate(timeout=60)
        assert first.returncode == 0, told
    assert whole and made.read_bytes() == whole and left_over(folder) == []
