"""Commands other than ``edit`` whose work Ray divides: what they make is what one process makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_run import FinishedRun, make_run

from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, VISION
from tests.command_line import run
from tests.small_pairs import write_pairs

pytestmark = pytest.mark.slow


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dataset_is_that_of_one_process(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs", ("flip", "frame", "grey", "invert", "mirror"), 40)
    for name, options in (("alone", ["--processes=1"]), ("divided", ["--ray", "--workers=2"])):
        run("dataset", "build", pairs, tmp_path / name, "--test-pairs=2", *options)
    assert contents(tmp_path / "divided") == contents(tmp_path / "alone")


def test_an_evaluation_is_that_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = make_run(tmp_path)
    models = {"model": FLUX, "adapter": ADAPTER, "vision": VISION, "vae": AUTOENCODER}
    options = [*(f"--{name}={path}" for name, path in models.items()), "--steps=2", "--long-side=64", "--device=cpu"]
    broken = made.file.parent / made.samples()[5]["source"]
    broken.write_bytes(b"no picture")
    for name, more in (("alone", []), ("divided", ["--ray", "--workers=2"])):
        said = run(
            *("evaluate", "run", made.file, tmp_path / name, "--headless", "--no-texts"), *options, *more, status=1
        )
        assert "11 of 12 samples have a result" in said and "Sample 5 failed: Cannot read the picture" in said
    assert contents(tmp_path / "divided" / "results") == contents(tmp_path / "alone" / "results")
    assert len(contents(tmp_path / "alone" / "results")) == 11
    broken.write_bytes((made.file.parent / made.samples()[4]["source"]).read_bytes())
    again = FinishedRun(made.file, tmp_path / "divided")
    said = run("evaluate", "run", made.file, again.folder, "--headless", "--no-texts", *options, "--ray", "--workers=1")
    assert "12 of 12 samples have a result" in said and again.result(5).is_file()
