"""Hostile files for every reader: no traceback, no hang, no memory out of measure, and no code in them runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import read_hostile
from cases import Case, some_cases
from cut_while_held import CUTS

from tests.watched import python, watch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and signals are those of Unix")

SOME, MANY = 120, 800
"""Of the corpus's thousands. All of one reader are tried by ``python read_hostile.py READER FOLDER 0``."""


def faults(cases: list[Case], found: dict[str, list[Any]]) -> list[str]:
    """What must not be, by case."""
    wrong: list[str] = []
    for case in cases:
        outcome, message, *ran = found[case.name]
        if outcome not in ({"read"} if case.damage is None else {"read", "refused"}):
            wrong.append(f"{case.name}: {outcome}: {message}")
        elif any(ran):
            wrong.append(f"{case.name}: code in the file was run")
        elif not all(line.isprintable() for line in message.split("\n")) or len(message) > 3000:
            wrong.append(f"{case.name}: {message[:3000]!r}")
    return wrong


def read_all(count: int, folder: Path) -> dict[str, list[Any]]:
    names = [*(case.name for case in some_cases(count)), *CUTS]
    assert len(set(names)) == len(names)
    return watch(python(Path(read_hostile.__file__), count, folder), names, folder)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What came of a sample and of the files that are cut short, which share the seconds of the libraries."""
    return read_all(SOME, tmp_path_factory.mktemp("some"))


def test_some_of_the_hostile_files(found: dict[str, list[Any]]) -> None:
    assert not faults(some_cases(SOME), found)


@pytest.mark.parametrize("name", CUTS)
def test_a_file_that_is_cut_short_while_it_is_held(found: dict[str, list[Any]], name: str) -> None:
    """It ends in a clear error or in nothing, never in a signal."""
    outcome, message = found[name]
    says = CUTS[name][1]
    assert outcome == ("refused" if says else "read"), message
    assert says in message


@pytest.mark.slow
def test_many_of_the_hostile_files(tmp_path: Path) -> None:
    assert not faults(some_cases(MANY), read_all(MANY, tmp_path))
