"""Records of what a build has split, as a power cut or a stranger leaves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from relation_tools.dataset.outcomes import Folders, Outcome, SplitJob, record_chunk, recorded_chunk

JOBS = [SplitJob("a.png", "pictures/task/a")]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A picture, its halves, and the record that it was split."""
    folders = Folders(tmp_path / "pairs", tmp_path / "out")
    folders.pairs.mkdir()
    Image.new("RGB", (32, 16)).save(folders.pairs / "a.png")
    halves = tuple(f"pictures/task/a_{half}.png" for half in ("before", "after"))
    for half in halves:
        (folders.out / half).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(folders.out / half)
    lengths = [(folders.out / half).stat().st_size for half in halves]
    outcome = Outcome(
        before=halves[0], after=halves[1], bytes=(lengths[0], lengths[1]), size=(16, 16), digests=("00", "01")
    )
    record_chunk(folders, 0, JOBS, [outcome])
    assert recorded_chunk(folders, 0, JOBS) == [outcome]
    return folders


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "\0" * len(text),
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "outcomes": 3}),
        lambda text: json.dumps({**json.loads(text), "outcomes": [{"before": 1}]}),
        lambda text: json.dumps({"outcomes": json.loads(text)["outcomes"]}),
        lambda text: text.replace("pictures/task/a_after.png", ""),
    ],
    ids=["empty", "cut", "zeros", "a list", "a number", "other fields", "no key", "no half"],
)
def test_a_damaged_record_is_named_and_its_pictures_are_split_again(
    folders: Folders, damage: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    record = folders.records / "000000.json"
    record.write_text(damage(record.read_text(encoding="utf-8")), encoding="utf-8")
    assert recorded_chunk(folders, 0, JOBS) == []
    assert "000000.json' is damaged" in caplog.text and "its pictures are split again" in caplog.text


def test_a_record_of_another_picture_is_not_taken(folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (32, 16), "white").save(folders.pairs / "a.png")
    assert recorded_chunk(folders, 0, JOBS) == [] and caplog.text == ""


def test_a_record_of_another_picture_after_is_not_taken(folders: Folders) -> None:
    jobs = [SplitJob("a.png", "pictures/task/a", "b.png")]
    Image.new("RGB", (16, 16)).save(folders.pairs / "b.png")
    record_chunk(folders, 0, jobs, recorded_chunk(folders, 0, JOBS))
    assert recorded_chunk(folders, 0, jobs) and recorded_chunk(folders, 0, JOBS) == []
    Image.new("RGB", (16, 16), "white").save(folders.pairs / "b.png")
    assert recorded_chunk(folders, 0, jobs) == []
