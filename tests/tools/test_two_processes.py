"""Two processes that are told to write the same thing: the second is refused with a clear message, or both are whole.

The first is a command that stops at a lock, as if the machine had no time for it, while the second runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from finished_run import make_run
from PIL import Image
from random_weights import random_weights, write_bin

from relation_core.adapter.config import RelationConfig
from relation_core.progress import Silent
from relation_core.scenes.relations import TRAINED
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, VISION
from relation_tools.dataset.synthesis import write_dataset
from tests.command_line import run

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="stops a process by a signal of POSIX")
STOPS_AT_A_LOCK = """
import os, signal, sys
seen, wanted = [], ["opened", "locked"] * int(os.environ["STOPS_AT_LOCK"])
def watch(event, arguments):
    if seen == wanted:
        seen.append("stopped")
        os.kill(os.getpid(), signal.SIGSTOP)
    elif event == "open" and len(seen) % 2 == 0 and ".relation-adapter" in str(arguments[0]):
        seen.append("opened")
    elif event == "fcntl.flock" and len(seen) % 2 == 1:
        seen.append("locked")
sys.addaudithook(watch)
"""
MODELS = [f"--model={FLUX}", f"--adapter={ADAPTER}", f"--vision={VISION}", f"--vae={AUTOENCODER}", "--device=cpu"]


@contextmanager
def stopped(folder: Path, *arguments: object, lock: int = 1) -> Generator[subprocess.Popen[str]]:
    """A command that stands still once it has taken so many locks."""
    (folder / "hooks").mkdir()
    (folder / "hooks" / "sitecustomize.py").write_text(STOPS_AT_A_LOCK)
    process = subprocess.Popen(
        [sys.executable, "-m", "relation_tools", *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(folder / "hooks"),
            "STOPS_AT_LOCK": str(lock),
            "HF_ENDPOINT": "http://127.0.0.1:9",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _, state = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(state), process.stdout.read() if process.stdout else ""
        yield process
    finally:
        process.kill()
        process.wait()


def left_over(folder: Path) -> list[Path]:
    return list(folder.rglob(".relation-adapter*"))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name, colour in (("before", "teal"), ("after", "gold")):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{name}.png")
    return tmp_path / "before.png", tmp_path / "after.png"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "pairs", TRAINED[:2], 6, 0, Silent())
    return tmp_path / "pairs"


def refused(folder: Path, work: str, *arguments: object, finishes: bool = True) -> None:
    """Hold that the second is refused, and that the first ends as if it had been alone."""
    with stopped(folder, *arguments) as first:
        said = run(*arguments, status=1, environment={"HF_ENDPOINT": "http://127.0.0.1:9"})
        assert f"Another process is {work} '" in said and "wait for it to finish" in said
        first.send_signal(signal.SIGCONT)
        told, _ = first.communicate(timeout=120)
        assert (first.returncode == 0) == finishes and "Traceback" not in told, told
    assert left_over(folder) == []


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


def test_drawn_scenes(tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    refused(tmp_path, "drawing into", "dataset", "synthesize", out, "--scenes=2", "--relations=held-out")
    assert list(out.rglob("labels.json"))


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


def test_sheets_are_both_whole(tmp_path: Path, pairs: Path) -> None:
    run("dataset", "build", pairs, tmp_path / "data", "--test-pairs=2", "--processes=1")
    sheet = tmp_path / "sheet.png"
    arguments = ("dataset", "sheet", tmp_path / "data" / "train.jsonl", sheet, "--count=2")
    with stopped(tmp_path, *arguments) as first:
        run(*arguments)
        whole = sheet.read_bytes()
        Image.open(sheet).load()
        first.send_signal(signal.SIGCONT)
        assert first.communicate(timeout=60) is not None and first.returncode == 0
    assert sheet.read_bytes() == whole and left_over(tmp_path) == []


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
    refused(tmp_path, "training in", "pretrain", what, tmp_path / "out", "--steps=1", "--batch-size=2")
    assert (tmp_path / "out" / "states").is_dir()
