"""The table in docs/composition.md and the tests of composition say the same."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE.parents[1] / "docs" / "composition.md"


def test_every_row_has_its_test_and_every_test_its_row() -> None:
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| with |", "| model |", "| --- "))]
    named = {re.search(r"`(\w+)::(test_\w+)` \|$", row) for row in rows}
    assert None not in named
    defined = {
        (file.stem.removeprefix("test_composition_"), name)
        for file in HERE.glob("test_composition_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        if file != Path(__file__).resolve()
    }
    assert {match.groups() for match in named if match} == defined
