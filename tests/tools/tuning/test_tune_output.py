"""The files that ``tune`` writes: names that are taken, a full disk, and what lies beside them."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from tune_runs import BEFORE, arguments, contents, refusal, tune

from relation_core.tuning.settings import TuningSettings
from relation_tools.__main__ import main
from relation_tools.training.run_state import load_state
from relation_tools.tuning import command
from tests.full_disk import room_for

Pairs = tuple[Path, Path]
OUT = "mine.safetensors"


@pytest.mark.parametrize(
    ("taken", "folder", "options", "says"),
    [
        ("mine.curve.png", False, (), "already exists"),
        ("mine.sheet.png", False, (), "already exists"),
        ("mine.sheet.png", True, ("--overwrite",), "is a folder; expected a file"),
        ("mine.tuning", False, ("--overwrite",), "is a file; expected that name to be free"),
        (OUT, True, (), "is a folder; expected a file"),
        (OUT, True, ("--overwrite",), "is a folder; expected a file"),
    ],
)
def test_a_name_that_is_taken_is_refused_before_the_work(
    vae: Path,
    folders: Pairs,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    taken: str,
    folder: bool,
    options: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.delattr(command, "open_pipeline")
    if folder:
        (tmp_path / taken).mkdir()
    else:
        (tmp_path / taken).write_bytes(b"precious")
    assert tune(vae, folders, tmp_path / OUT, *options) == 1
    assert says in refusal(caplog) and taken in refusal(caplog)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert folder or (tmp_path / taken).read_bytes() == b"precious"


def test_only_states_are_removed_from_their_folder(vae: Path, folders: Pairs, tmp_path: Path) -> None:
    (states := tmp_path / "mine.tuning").mkdir()
    (states / "holiday.jpg").write_bytes(b"precious")
    (states / "state-00000001.pt").write_bytes(b"of an earlier run")
    assert tune(vae, folders, tmp_path / OUT, "--steps=1", "--overwrite") == 0
    assert [path.name for path in states.iterdir()] == ["holiday.jpg"]


def test_a_full_disk_loses_no_step(vae: Path, folders: Pairs, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """There is room for the state and not for the curve, then for all; --overwrite replaces what was there at last."""
    with room_for(20_000):
        assert tune(vae, folders, tmp_path / OUT, "--steps=2") == 1
    assert "cannot be written (File too large)" in refusal(caplog)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tuning"]
    caplog.clear()
    assert tune(vae, folders, tmp_path / OUT, "--steps=2") == 0
    assert "Continuing after step 2." in caplog.text
    first = contents(tmp_path / OUT)
    assert tune(vae, folders, tmp_path / OUT, "--steps=2", "--overwrite") == 0
    assert contents(tmp_path / OUT) == first


def test_a_rate_that_diverges_late_keeps_no_state(
    vae: Path, folders: Pairs, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[int] = []

    class Diverging(command.Learner):
        def take_step(self) -> float:
            if self.step == 5:
                found = load_state(tmp_path / "mine.tuning")
                states.append(0 if found is None else found["step"])
                self._tokens.data.fill_(math.nan)
            return super().take_step()

    monkeypatch.setattr(command, "Learner", Diverging)
    monkeypatch.setattr(command, "TuningSettings", partial(TuningSettings, check_every=2))
    assert tune(vae, folders, tmp_path / OUT) == 1
    assert "The loss of step 6 is nan" in refusal(caplog)
    assert states == [4]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_more_pairs_than_a_relation_holds_are_learned_from(vae: Path, tmp_path: Path) -> None:
    shown: list[str] = []
    for number in range(65):
        before = Image.open(BEFORE).convert("RGB").resize((32, 32)).rotate(number)
        for kind, picture in (("before", before), ("after", ImageOps.mirror(before))):
            picture.save(path := tmp_path / f"{kind}{number}.png")
            shown.append(f"--{kind}={path}")
    assert main(arguments(vae, *shown, "--steps=1", f"--out={tmp_path / OUT}")) == 0
    assert '"pairs": 65' in contents(tmp_path / OUT)[0]["learned"]
