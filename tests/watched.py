"""Runs cases in processes that are watched, and says of each what became of it: also of one that hangs or crashes.

The process prints ``["begin", NAME]`` before a case and ``["end", NAME, ...]`` with whatever it found after it, each on
a line. It is given the number of the case to begin with as its last argument; after one that it did not survive,
another process goes on with the next.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

LONGEST = 10.0
"""Seconds that one case may take."""
STARTING = 240.0
"""Seconds that the process has for its libraries."""
MOST_MEMORY = 2 << 30
"""Bytes that the process may have in memory."""
_POLL = 0.05


def watch(
    command: Sequence[str],
    names: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    longest: float = LONGEST,
) -> dict[str, list[Any]]:
    """Run all cases; give what was found of each, or ``["died", how]`` where its process did not survive it.

    Args:
        command: without the number of the first case.
        names: of the cases, in their order.
        folder: where it runs.
        environment: to be added to this process's.
        longest: seconds that a case may take.
    """
    results: dict[str, list[Any]] = {}
    first = 0
    while first < len(names):
        begun, how = _run([*command, str(first)], folder, {**os.environ, **(environment or {})}, longest, results)
        if not how:
            break
        assert begun is not None, how
        results[begun] = ["died", how]
        first = names.index(begun) + 1
    return results


def _run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], longest: float, results: dict[str, list[Any]]
) -> tuple[str | None, str]:
    """Run one process; give the case that it ended in and how, or nothing where it came to its own end."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment)
        lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
        begun, how = _follow(process, lines, longest, results)
        process.kill()
        code = process.wait()
        if not how and (begun is not None or code != 0):
            errors.seek(0)
            how = f"ended the process ({code}): {errors.read()[-2000:].decode(errors='replace')}"
        return begun, how


def _follow(
    process: subprocess.Popen[bytes], lines: queue.Queue[bytes | None], longest: float, results: dict[str, list[Any]]
) -> tuple[str | None, str]:
    begun, deadline = None, time.monotonic() + STARTING
    while True:
        try:
            line = lines.get(timeout=_POLL)
        except queue.Empty:
            if time.monotonic() > deadline:
                return begun, f"took longer than {longest:g} s"
            if begun is not None and _memory(process.pid) > MOST_MEMORY:
                return begun, f"took more than {MOST_MEMORY >> 20} MB"
            continue
        if line is None:
            process.wait()
            return begun, ""
        if not line.startswith(b"["):
            continue
        kind, name, *found = json.loads(line)
        if kind == "begin":
            begun, deadline = name, time.monotonic() + longest
        else:
            results[name] = found
            begun, deadline = None, time.monotonic() + STARTING


def _pass_on(stream: IO[bytes] | None, lines: queue.Queue[bytes | None]) -> None:
    assert stream is not None
    for line in stream:
        lines.put(line)
    lines.put(None)


def _memory(process: int) -> int:
    """Bytes of a process in memory, without pages of files; 0 where the system does not say."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(map(int, found)) * 1024


def begin(name: str) -> None:
    """Say that a case begins."""
    print(json.dumps(["begin", name]), flush=True)


def end(name: str, *found: object) -> None:
    """Say what became of a case."""
    print(json.dumps(["end", name, *found]), flush=True)


def python(script: Path, *arguments: object) -> list[str]:
    """The command that runs a script."""
    return [sys.executable, str(script), *map(str, arguments)]
