"""A file that is cut short while it is in use ends in a clear error or in nothing, never in a signal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cut_while_held
import pytest
from cut_while_held import CASES

from tests.watched import python, watch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and signals are those of Unix")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("cut")
    return watch(python(Path(cut_while_held.__file__), folder), list(CASES), folder, longest=120)  # with imports


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_is_cut_short_while_it_is_held(found: dict[str, list[Any]], name: str) -> None:
    outcome, message = found[name]
    says = CASES[name][1]
    assert outcome == ("refused" if says else "read"), message
    assert says in message
