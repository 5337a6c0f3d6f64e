"""Two processes told to write the same thing: the second is refused with a clear message, or both results are whole."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from finished_run import make_run
from PIL import Image
from random_weights import random_weights, write_bin

from relation_core.adapter.config import RelationConfig
from relation_core.progress import Silent
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, VISION
from relation_tools.dataset.landscapes import LandscapeOptions, write_landscapes
from tests.command_line import run
from tests.small_pairs import write_pairs
from tests.stopped_command import both_whole, left_over, refused, started, stopped

pytestmark = pytest.mark.skipif(os.name == "nt", reason="stops a process by a signal of POSIX")
MODELS = [f"--model={FLUX}", f"--adapter={ADAPTER}", f"--vision={VISION}", f"--vae={AUTOENCODER}", "--device=cpu"]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name, colour in (("before", "teal"), ("after", "gold")):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{name}.png")
    return tmp_path / "before.png", tmp_path / "after.png"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "pairs", ("flip", "invert"), 6)


@pytest.fixture
def data(tmp_path: Path, pairs: Path) -> Path:
    run("dataset", "build", pairs, tmp_path / "data", "--test-pairs=2", "--processes=1")
    return tmp_path / "data"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    config = RelationConfig(3, heads=2, head_dim=128, tokens=4, text_dim=24, vision_dim=12, projection_dim=20)
    return write_bin(tmp_path / "adapter.bin", random_weights(config, dtype=torch.bfloat16), module=True)


def test_conversions(tmp_path: Path, adapter: Path) -> None:
    refused(tmp_path, "writing", "weights", "convert", adapter, tmp_path / "adapter.safetensors")
    assert (tmp_path / "adapter.safetensors").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_conversion_that_is_ended_while_it_writes(tmp_path: Path, adapter: Path, number: int) -> None:
    arguments = ("weights", "convert", adapter, tmp_path / "adapter.safetensors")
    with stopped(tmp_path, *arguments, lock=2) as process:
        assert list(tmp_path.glob(".relation-adapter*.parts/*/lock")), "it has begun to write"
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == (-number if number == signal.SIGKILL else 130) and "Traceback" not in said
    assert (left_over(tmp_path) == []) == (number != signal.SIGKILL)
    assert not (tmp_path / "adapter.safetensors").exists()
    run(*arguments)
    assert left_over(tmp_path) == [], "what a killed one left goes with the next"


def test_downloads(tmp_path: Path) -> None:
    refused(tmp_path, "downloading", "weights", "download", "--to", tmp_path / "models", finishes=False)
    assert not (tmp_path / "models").exists()


def test_builds(tmp_path: Path, pairs: Path) -> None:
    out = tmp_path / "data"
    refused(tmp_path, "building a dataset in", "dataset", "build", pairs, out, "--test-pairs=2", "--processes=1")
    assert (out / "build.json").is_file()


def test_landscapes(tmp_path: Path) -> None:
    out, few = tmp_path / "landscapes", ("--relations=2", "--scenes=4", "--pairs=2", "--processes=1")
    refused(tmp_path, "drawing into", "dataset", "landscapes", out, *few)
    assert (out / "train.jsonl").is_file()


def test_evaluations(tmp_path: Path) -> None:
    found = make_run(tmp_path)
    server = ("--server=127.0.0.1:9", "--give-up=0")
    refused(tmp_path, "evaluating in", "evaluate", "run", found.file, tmp_path / "new", *server, finishes=False)


def test_scores(tmp_path: Path) -> None:
    found = make_run(tmp_path)
    refused(tmp_path, "evaluating in", "evaluate", "score", found.file, found.folder)
    assert len(found.scores()) == 11


def test_sheets_are_both_whole(tmp_path: Path, data: Path) -> None:
    sheet = tmp_path / "sheet.png"
    both_whole(tmp_path, sheet, "dataset", "sheet", data / "train.jsonl", sheet, "--count=2")
    Image.open(sheet).load()


def test_reports_are_both_whole(tmp_path: Path) -> None:
    found = make_run(tmp_path)
    run("evaluate", "score", found.file, found.folder)
    page = tmp_path / "page.html"
    both_whole(tmp_path, page, "evaluate", "report", found.file, found.folder, page)
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.slow
def test_measurements_share_what_is_encoded(tmp_path: Path, data: Path) -> None:
    """The second waits until the first has encoded the pictures, and then reads them."""
    cache = tmp_path / "cache"
    arguments = ("measure", data / "test.jsonl", f"--cache={cache}", "--samples=2", "--steps=1", *MODELS)
    with stopped(tmp_path, *arguments) as first, started(*arguments) as second:
        assert second.stdout is not None
        waits = any("waiting for it" in line for line in iter(second.stdout.readline, ""))
        first.send_signal(signal.SIGCONT)
        tables = [process.communicate(timeout=120)[0] for process in (first, second)]
        assert waits and first.returncode == second.returncode == 0, tables
    assert len(list(cache.iterdir())) == 1 and left_over(tmp_path) == []


@pytest.mark.slow
def test_relations_that_are_encoded(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    out = tmp_path / "new" / "relation.safetensors"
    models = [f"--adapter={ADAPTER}", f"--vision={VISION}", "--device=cpu"]
    refused(tmp_path, "encoding", "encode", f"--before={pair[0]}", f"--after={pair[1]}", f"--out={out}", *models)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.slow
def test_relations_that_are_learned(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    out = tmp_path / "new" / "relation.safetensors"
    few = ("--steps=2", "--batch-size=1", "--sheet-steps=1")
    refused(tmp_path, "learning", "tune", f"--before={pair[0]}", f"--after={pair[1]}", f"--out={out}", *MODELS, *few)
    assert out.is_file()


@pytest.mark.slow
def test_edits(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    source, out = pair[0], tmp_path / "new" / "result.png"
    options = (f"--before={pair[0]}", f"--after={pair[1]}", f"--source={source}", f"--out={out}", "--steps=1")
    refused(tmp_path, "editing", "edit", *options, *MODELS)
    assert out.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["autoencoder", "vision"])
def test_pretrainings(tmp_path: Path, what: str) -> None:
    write_landscapes(tmp_path / "pictures", LandscapeOptions(relations=1, scenes=2, pairs=2), 1, Silent())
    few = (f"--pictures={tmp_path / 'pictures'}", "--steps=1", "--batch-size=2")
    refused(tmp_path, "training in", "pretrain", what, tmp_path / "out", *few)
    assert (tmp_path / "out" / "states").is_dir()
