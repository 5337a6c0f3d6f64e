"""``dataset synthesize`` writes what ``dataset build`` takes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relation_core.errors import DatasetError
from relation_core.progress import Silent
from relation_tools.dataset.synthesis import write_dataset
from relation_tools.drawn_scenes.drawing import draw
from relation_tools.drawn_scenes.relations import ALL, HELD_OUT, TRAINED
from relation_tools.drawn_scenes.scene import quiet_scene
from tests import command_line
from tests.counted_progress import CountedProgress


def run(*arguments: object) -> str:
    return command_line.run("dataset", *arguments)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    run("synthesize", root / "pairs", "--scenes", 6, "--seed", 9)
    run("build", root / "pairs", root / "ready", "--test-pairs", 2, "--processes", 1)
    return root


def test_the_dataset_builder_takes_it_without_a_remark(built: Path) -> None:
    assert (built / "ready" / "problems.jsonl").read_text() == ""
    summary = json.loads((built / "ready" / "build.json").read_text())
    assert (summary["tasks"], summary["pictures"]) == (len(TRAINED), 6 * len(TRAINED))
    assert summary["test_samples"] == 2 * len(TRAINED)
    assert "No problems." in run("validate", built / "ready")


def test_the_halves_are_the_drawn_pictures(built: Path) -> None:
    for relation in TRAINED:
        for index in range(6):
            folder = built / "ready" / "pictures" / relation.name
            scene = quiet_scene(9, index)
            for half, drawn in (("before", draw(scene)), ("after", relation.edit(scene))):
                with Image.open(folder / f"scene_{index:06d}_{half}.png") as picture:
                    assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(drawn)), relation.name


def test_held_out_combinations_are_written_apart(built: Path, tmp_path: Path) -> None:
    trained = {path.name for path in (built / "pairs").iterdir()}
    assert not trained & set(HELD_OUT)
    run("synthesize", tmp_path / "held_out", "--scenes", 1, "--relations", "held-out")
    assert {path.name for path in (tmp_path / "held_out").iterdir()} == set(HELD_OUT)
    run("synthesize", tmp_path / "all", "--scenes", 1, "--relations", "all")
    assert {path.name for path in (tmp_path / "all").iterdir()} == {relation.name for relation in ALL}


def test_writing_again_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        progress = CountedProgress()
        write_dataset(tmp_path / name, TRAINED[:2], 2, 4, progress)
        assert progress.complete and progress.total == 2
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("first", "second")
    )
    assert first == second
    assert len(first) == 6


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"0 scenes and 22 relations; expected at least one"):
        write_dataset(tmp_path, TRAINED, 0, 0, Silent())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"Cannot write to .*file"):
        write_dataset(tmp_path / "file", TRAINED, 1, 0, Silent())
