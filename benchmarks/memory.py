"""How much memory a process has (Linux)."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_INTERVAL = 0.002
KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 35),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
}
"""Environment in which glibc gives no freed memory back: else a step has a million page faults, whose cost wanders."""


def restarted_with(environment: dict[str, str], module: str) -> None:
    """Go on in this environment, which is read when a process starts: unless it is this one, run a module anew."""
    if not environment.items() <= os.environ.items():
        os.environ.update(environment)
        os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])  # noqa: S606


def usual_memory() -> dict[str, str]:
    """The environment without these, for processes whose memory is measured."""
    return {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}


@dataclass
class Memory:
    """Bytes of a process."""

    resident: int = 0
    """All that is in memory, mapped files included."""
    anonymous: int = 0
    """What only this process has and the system cannot drop: without mapped files."""


def memory(process: int | str = "self") -> Memory:
    """Read the memory of a process; zero if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return Memory()
    values = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return Memory(*(1024 * int(values.get(name, "0 kB").split()[0]) for name in ("VmRSS", "RssAnon")))


def give_back_freed() -> None:
    """Have glibc give freed memory back to the system, so that what is held now is known."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


class PeakMemory:
    """The most memory that a process has while the block runs, looked at every 2 ms."""

    def __init__(self, process: int | str = "self") -> None:
        self.peak = Memory()
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            now = memory(self._process)
            self.peak.resident = max(self.peak.resident, now.resident)
            self.peak.anonymous = max(self.peak.anonymous, now.anonymous)
            if self._ended.wait(_INTERVAL):
                return
