"""Hostile files for every reader: no traceback, no hang, no memory out of measure, and no code in them runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import read_hostile
from cases import Case, some_cases

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


def read_all(count: str, folder: Path, cases: list[Case]) -> dict[str, list[Any]]:
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    return watch(python(Path(read_hostile.__file__), count, folder), names, folder)


def test_some_of_the_hostile_files(tmp_path: Path) -> None:
    cases = some_cases(SOME)
    assert not faults(cases, read_all(str(SOME), tmp_path, cases))


@pytest.mark.slow
def test_many_of_the_hostile_files(tmp_path: Path) -> None:
    cases = some_cases(MANY)
    assert not faults(cases, read_all(str(MANY), tmp_path, cases))
