"""What training writes, where a file cannot grow: the reason and the file are named, and nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relation_core.errors import CheckpointError, DatasetError
from relation_core.weights.atomic import appearing
from relation_tools.training.curve import Curve, read_curve
from relation_tools.training.run_state import load_state, save_state
from relation_tools.training.weights_file import write_weights
from tests.full_disk import room_for

STATE = {"value": torch.arange(10_000)}


@pytest.mark.parametrize("room", [0, 100, 60_000])
def test_the_first_state_leaves_no_folder(tmp_path: Path, room: int) -> None:
    with room_for(room), pytest.raises(CheckpointError) as told:
        save_state(tmp_path / "states", 1, STATE, keep=1)
    assert str(told.value) == (
        f"The state of step 1 could not be written to {tmp_path / 'states'} (File too large). Expected room for it: "
        "make room, and start the same command again; it goes on from the last state, if there is one."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_later_state_leaves_the_last_one(tmp_path: Path) -> None:
    save_state(tmp_path, 1, STATE, keep=2)
    with room_for(60_000), pytest.raises(CheckpointError, match=r"step 2 could not be written .*\(File too large\)"):
        save_state(tmp_path, 2, STATE, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000001.pt"]
    state = load_state(tmp_path)
    assert state is not None and torch.equal(state["value"], STATE["value"])


def test_an_export_leaves_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, STATE, torch.float32)
    before = path.read_bytes()
    with room_for(20_000), pytest.raises(CheckpointError, match=r"weights\.safetensors could not be written .*large.*"):
        write_weights(path, {"value": STATE["value"] + 1}, torch.float32)
    assert [found.name for found in tmp_path.iterdir()] == [path.name] and path.read_bytes() == before


def test_a_row_of_the_curve(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "curve.csv", ("step", "loss"), 0)
    curve.add({"step": 1, "loss": 0.5})
    size = (tmp_path / "curve.csv").stat().st_size
    with (
        room_for(size + 1),
        pytest.raises(DatasetError, match=r"Cannot write '.*curve\.csv': File too large\. Make room"),
    ):
        curve.add({"step": 2, "loss": 0.25})
    Curve(tmp_path / "curve.csv", ("step", "loss"), 1).add({"step": 2, "loss": 0.125})
    assert [row["loss"] for row in read_curve(tmp_path / "curve.csv")] == ["0.5", "0.125"]


def test_the_file_is_named_where_the_system_names_none(tmp_path: Path) -> None:
    with (
        room_for(10),
        pytest.raises(OSError, match="File too large") as told,
        appearing(tmp_path / "sheet.png") as part,
    ):
        part.write_bytes(bytes(100))
    assert told.value.filename == str(tmp_path / "sheet.png")
    assert list(tmp_path.iterdir()) == []
