"""Every command of the command line, with what it is to work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from finished_run import make_run
from PIL import Image
from random_weights import random_weights, write_bin

from relation_core.adapter.config import RelationConfig
from relation_core.progress import Silent
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, VISION
from relation_tools.dataset.build import BuildOptions, build
from relation_tools.dataset.landscapes import LandscapeOptions, write_landscapes
from tests import command_line
from tests.small_pairs import write_pairs

MODELS = [f"--model={FLUX}", f"--adapter={ADAPTER}", f"--vision={VISION}", f"--vae={AUTOENCODER}", "--device=cpu"]
TOWERS = [f"--adapter={ADAPTER}", f"--vision={VISION}", "--device=cpu"]
SERVER = ["--server=127.0.0.1:9", "--give-up=0"]
Arguments = Callable[[Path, Path], list[object]]
"""Of a command, from the folder that :func:`prepare` filled and one for what it makes."""
COMMANDS: dict[str, Arguments] = {
    "dataset build": lambda given, out: [given / "pairs", out / "data", "--test-pairs=2", "--processes=1"],
    "dataset validate": lambda given, out: [given / "data"],
    "dataset stats": lambda given, out: [given / "data"],
    "dataset sheet": lambda given, out: [given / "data" / "train.jsonl", out / "sheet.png"],
    "dataset landscapes": lambda given, out: [out / "new", "--relations=1", "--scenes=2", "--pairs=2", "--processes=1"],
    "edit": lambda given, out: [
        *_pair(given),
        f"--source={given / 'a.png'}",
        f"--out={out / 'b.png'}",
        "--steps=1",
        *MODELS,
    ],
    "encode": lambda given, out: [*_pair(given), f"--out={out / 'relation.safetensors'}", *TOWERS],
    "evaluate run": lambda given, out: [given / "dataset" / "test.jsonl", out / "new", *SERVER],
    "evaluate score": lambda given, out: [given / "dataset" / "test.jsonl", out / "run"],
    "evaluate report": lambda given, out: [given / "dataset" / "test.jsonl", given / "run", out / "page.html"],
    "measure": lambda given, out: [
        given / "data" / "test.jsonl",
        f"--cache={out / 'cache'}",
        "--samples=2",
        "--steps=1",
        *MODELS,
    ],
    "pretrain autoencoder": lambda given, out: [out / "ae", *_pictures(given)],
    "pretrain vision": lambda given, out: [out / "vision", *_pictures(given)],
    "train": lambda given, out: [_settings(given, out)],
    "tune": lambda given, out: [*_pair(given), f"--out={out / 'relation.safetensors'}", "--steps=1", *MODELS],
    "weights convert": lambda given, out: [given / "adapter.bin", out / "adapter.safetensors"],
    "weights download": lambda given, out: ["--to", out / "models"],
    "weights inspect": lambda given, out: [given / "adapter.bin"],
}
NO_SERVER = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}


def prepare(folder: Path) -> None:
    """Fill a folder with what every command needs to do its work."""
    pairs = write_pairs(folder / "pairs", ("flip", "invert"), 6)
    build(pairs, folder / "data", BuildOptions(test_pairs=2), {}, 1, Silent())
    write_landscapes(folder / "landscapes", LandscapeOptions(relations=1, scenes=2, pairs=2), 1, Silent())
    config = RelationConfig(3, heads=2, head_dim=128, tokens=4, text_dim=24, vision_dim=12, projection_dim=20)
    write_bin(folder / "adapter.bin", random_weights(config, dtype=torch.bfloat16), module=True)
    for name, colour in (("a", "teal"), ("b", "gold")):
        Image.new("RGB", (64, 64), colour).save(folder / f"{name}.png")
    made = make_run(folder)
    command_line.run("evaluate", "score", made.file, made.folder)


def _pair(given: Path) -> list[object]:
    return [f"--before={given / 'a.png'}", f"--after={given / 'b.png'}"]


def _pictures(given: Path) -> list[object]:
    return [f"--pictures={given / 'landscapes'}", "--steps=1", "--batch-size=1"]


def _settings(given: Path, out: Path) -> Path:
    if given.is_dir():
        tables = (
            f'output = "{out / "trained"}"',
            f'[data]\ntrain = "{given / "data" / "train.jsonl"}"\ncache = "{out / "cache"}"\nlong_side = 0',
            "[training]\nsteps = 2\nbatch_size = 1",
            f'[models]\nvae = "{AUTOENCODER}"\nvision = "{VISION}"\ntransformer = "{FLUX}"',
        )
        (given / "run.toml").write_text("\n".join(tables) + "\n")
    return given / "run.toml"
