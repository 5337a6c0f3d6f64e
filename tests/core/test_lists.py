"""The README and the changelog list every node and every workflow, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from relation_core.scenes.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
README, CHANGELOG = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CHANGELOG.md"))
DOCS = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))  # held against the schemas
NODES = sorted(entry["display_name"] for entry in TEXTS.values())
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))


def first_column(heading: str) -> list[str]:
    """What the rows of the table under a heading are about; a row may name several."""
    (section,) = re.findall(rf"^## {heading}$(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)[2:]  # without the head and the line below it
    return sorted(name for cell in cells for name in cell.split(", "))


@pytest.mark.parametrize(("heading", "names"), [("The nodes", NODES), ("The workflows", WORKFLOWS)])
def test_the_readme_lists_them_all(heading: str, names: list[str]) -> None:
    assert first_column(heading) == names


def test_the_changelog_names_every_node() -> None:
    flowing = " ".join(CHANGELOG.split())
    assert [name for name in NODES if name not in flowing] == []


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_no_page_counts_nodes_or_workflows(page: Path) -> None:
    """A count would have to be kept up to date by hand, and a list tells it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    number = r"(?:\d+|two|three|four|five|six|seven|eight|nine|ten|\w+teen|eleven|twelve|twenty)"
    assert re.findall(rf"\b{number} (?:nodes|workflows|templates)\b", text, re.IGNORECASE) == []


@pytest.mark.parametrize("text", [README, CHANGELOG], ids=["README", "CHANGELOG"])
def test_the_small_models_edits_are_counted_right(text: str) -> None:
    assert re.findall(r"(?:one of|makes) (\d+) (?:kinds of )?edits", " ".join(text.split())) == [
        str(sum(not family.held_out for family in FAMILIES))
    ]
