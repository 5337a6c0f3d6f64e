"""What follows from the schemas is written by a script, which keeps what people wrote and says what they have to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyui_host.find import PACK
from comfyui_host.host import Host, PackNotLoadedError, require_loaded
from scripts.node_files import LOCALES, REQUIRED, update

ENGLISH = LOCALES / "en" / "nodeDefs.json"
CHINESE = LOCALES / "zh" / "nodeDefs.json"
NODE = "RelationScheduler"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the files that the script reads and writes."""
    for folder in ("locales", "web/docs"):
        shutil.copytree(PACK / folder, tmp_path / folder)
    (tmp_path / REQUIRED).parent.mkdir(parents=True)
    shutil.copy(PACK / REQUIRED, tmp_path / REQUIRED)
    return tmp_path


def change(path: Path, edit: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_packs_own_files_are_up_to_date(host: Host, pack: Path) -> None:
    before = contents(pack)
    assert update(host, pack, check=True) == 0
    assert update(host, pack, check=False) == 0
    assert contents(pack) == before


@pytest.mark.parametrize(
    "edit",
    [
        lambda english: english[NODE]["inputs"]["steps"].update(tooltip="Old words."),
        lambda english: english[NODE]["inputs"].pop("denoise"),
        lambda english: english.update(Gone=english[NODE]),
    ],
    ids=["text", "missing", "left over"],
)
def test_stale_english_fails_the_check_and_is_written_anew(
    host: Host, pack: Path, edit: Callable[[Any], object], caplog: pytest.LogCaptureFixture
) -> None:
    right = (pack / ENGLISH).read_bytes()
    change(pack / ENGLISH, edit)
    stale = contents(pack)
    assert update(host, pack, check=True) == 1
    assert "locales/en/nodeDefs.json is out of date" in caplog.text
    assert contents(pack) == stale, "a check writes nothing"
    assert update(host, pack, check=False) == 0
    assert (pack / ENGLISH).read_bytes() == right


@pytest.mark.parametrize("check", [True, False])
def test_translations_are_kept_and_what_they_lack_is_said(
    host: Host, pack: Path, check: bool, caplog: pytest.LogCaptureFixture
) -> None:
    change(pack / CHINESE, lambda entries: entries[NODE]["inputs"].pop("steps"))
    change(pack / CHINESE, lambda entries: entries[NODE].update(subtitle="x"))
    before = contents(pack)
    assert update(host, pack, check) == 1
    assert contents(pack) == before
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == [
        f"locales/zh/nodeDefs.json: {NODE}.inputs.steps.name is missing; in English: steps",
        f"locales/zh/nodeDefs.json: {NODE}.inputs.steps.tooltip is missing; in English: "
        "Sampling steps; the authors use 24.",
        f"locales/zh/nodeDefs.json: {NODE}.subtitle is left over; no node has it.",
    ]


def test_a_new_node_gets_its_pages_and_its_required_inputs(host: Host, pack: Path) -> None:
    pages = [pack / "web" / "docs" / f"{NODE}.md", pack / "web" / "docs" / NODE / "zh.md"]
    for page in pages:
        page.unlink()
    change(pack / REQUIRED, lambda required: required.pop(NODE))
    change(pack / REQUIRED, lambda required: required["SplitImagePair"].append("kept as it is"))
    assert update(host, pack, check=True) == 1
    assert update(host, pack, check=False) == 0
    required = json.loads((pack / REQUIRED).read_text(encoding="utf-8"))
    assert required[NODE] == ["steps", "latent", "denoise"]
    assert required["SplitImagePair"] == ["image", "kept as it is"]
    english, chinese = (page.read_text(encoding="utf-8") for page in pages)
    assert english.startswith("# Relation Scheduler\n")
    assert "- `steps`: Sampling steps; the authors use 24." in english
    assert f"(images/{NODE}.jpg)" in english and "- `sigmas`: " in english
    assert "- `steps`\uff08步数\uff09\uff1a" in chinese and "- `sigmas`\uff08" in chinese


def test_a_pack_that_comfyui_could_not_import_is_named(host: Host) -> None:
    require_loaded(host.node_classes)
    broken = {name: node for name, node in host.node_classes.items() if name != "ApplyRelationAdapter"}
    with pytest.raises(PackNotLoadedError, match=r"without ApplyRelationAdapter: importing the pack failed.*log above"):
        require_loaded(broken)
