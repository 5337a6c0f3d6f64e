"""Hundreds of corrupted files: each is read to finite numbers or refused in our own words, and no code in it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from corrupted_adapters import corrupted_adapters
from corrupted_vision import corrupted_vision
from corruption import EITHER, READ, REFUSED, Corruption
from read_corrupted import corruptions

from tests.watched import python, watch

READER = Path(__file__).resolve().parent / "read_corrupted.py"
ADAPTERS, VISION = corrupted_adapters(), corrupted_vision()
CODE = [name for name, corruption in ADAPTERS.items() if corruption.live]
REMEDY = re.compile(r"\b([Dd]ownload|Use|Check|Convert|Expected ip_adapter-100000\.bin from)\b")


@dataclass
class Result:
    """What came of one file."""

    outcome: str
    message: str = ""
    ran: bool = False
    changed: bool = False


Results = dict[str, Result]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What became of every file, by how it was read and its name; a process that dies is followed by another."""
    folder = tmp_path_factory.mktemp("corrupted")
    names = [f"{group} {corruption.name}" for group, corruption in corruptions()]
    found = watch(python(READER, folder), names, folder, longest=60)
    return {name: Result(*result) for name, result in found.items()}


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
def test_adapter(results: Results, name: str) -> None:
    check(ADAPTERS[name], results[f"adapter {name}"])


@pytest.mark.parametrize("name", VISION)
def test_vision(results: Results, name: str) -> None:
    check(VISION[name], results[f"vision {name}"])


@pytest.mark.parametrize("name", CODE)
def test_an_unsafe_reader_would_run_the_code(results: Results, name: str) -> None:
    """Or else the files above would prove nothing."""
    assert results[f"unsafe {name}"].ran
