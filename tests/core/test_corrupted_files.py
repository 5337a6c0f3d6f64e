"""Hundreds of corrupted files: each is read to finite numbers or refused in our own words, and no code in it runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from corrupted_adapters import corrupted_adapters
from corrupted_vision import corrupted_vision
from corruption import EITHER, READ, REFUSED, Corruption

READER = Path(__file__).resolve().parent / "read_corrupted.py"
ADAPTERS, VISION = corrupted_adapters(), corrupted_vision()
CODE = [name for name, corruption in ADAPTERS.items() if corruption.live]
REMEDY = re.compile(r"\b([Ff]etch|Use|Check|Convert|Expected ip_adapter-100000\.bin from)\b")


@dataclass
class Result:
    """What came of one file."""

    outcome: str
    message: str = ""
    ran: bool = False
    changed: bool = False


Reading = Callable[[str, str], dict[str, Result]]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    """Reads the groups at once, in processes of their own; one that dies is followed by another."""
    groups = (("adapters", "safe"), ("vision", "safe"), ("adapters", "unsafe"))
    with ThreadPoolExecutor() as pool:
        done = {group: pool.submit(_read, *group, tmp_path_factory.mktemp(group[0])) for group in groups}
        yield lambda group, mode: done[group, mode].result()


def _read(group: str, mode: str, folder: Path) -> dict[str, Result]:
    names = list(ADAPTERS if group == "adapters" else VISION)
    results: dict[str, Result] = {}
    first = 0
    while first < len(names):
        arguments = [sys.executable, str(READER), group, str(folder), str(first), mode]
        process = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=folder)
        for line in process.stdout.splitlines():
            if line.startswith("["):
                name, *result = json.loads(line)
                results[name] = Result(*result)
        if process.returncode == 0:
            break
        last = max((names.index(name) for name in results), default=first - 1)
        results[names[last + 1]] = Result(f"ended the process ({process.returncode})", process.stderr[-2000:])
        first = last + 2
    return results


def check(corruption: Corruption, result: Result) -> None:
    assert not result.ran, "code in the file was run"
    assert not result.changed, "something on disk was changed"
    allowed = {READ, REFUSED} if corruption.outcome == EITHER else {corruption.outcome}
    assert result.outcome in allowed, result.message
    if result.outcome == REFUSED:
        assert re.search(corruption.says, result.message), result.message
        assert f"weights{corruption.suffix}" in result.message
        assert re.search("[Ee]xpected", result.message), "it does not say what was expected"
        assert REMEDY.search(result.message), "it does not say what to do"
        assert not re.search("weights.only", result.message, re.IGNORECASE), "it passes on PyTorch's advice to run code"
        assert len(result.message) < 1000 and result.message.isprintable()


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapter(reading: Reading, name: str) -> None:
    check(ADAPTERS[name], reading("adapters", "safe")[name])


@pytest.mark.parametrize("name", VISION)
def test_vision(reading: Reading, name: str) -> None:
    check(VISION[name], reading("vision", "safe")[name])


@pytest.mark.parametrize("name", CODE)
def test_an_unsafe_reader_would_run_the_code(reading: Reading, name: str) -> None:
    """Or else the files above would prove nothing."""
    assert reading("adapters", "unsafe")[name].ran


def test_there_are_enough_of_them() -> None:
    good = sum(corruption.outcome == READ for corruption in (*ADAPTERS.values(), *VISION.values()))
    assert len(ADAPTERS) + len(VISION) - good >= 300
