"""Evaluations as a user runs them, against real servers with small models."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from light_server import changed, light_prompt, titled

from comfyui_host.find import PACK
from comfyui_host.server import ComfyServer, Prompt

sys.path.insert(0, str(PACK / "tests" / "tools" / "dataset"))

from built import ROOT, command, samples
from synthetic import Shape, categories, hub_dataset

UPLOADS = "relation_evaluation"
PLACES = {"Before": "{{before}}", "After": "{{after}}", "Source": "{{ source }}"}


def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr + done.stdout
    return done


def make_dataset(folder: Path, tasks: int, test_pairs: int) -> Path:
    """Build a run-ready dataset with tasks * test_pairs * (test_pairs - 1) test samples; return its test file.

    Its pictures are PNGs: ComfyUI's LoadImage reads JPEGs with another decoder than Pillow, with slightly other pixels.
    """
    shape = Shape(tasks, test_pairs + 2, suffix=".png")
    (folder / "categories.json").write_text(json.dumps(categories(shape)))
    hub_dataset(folder / "pairs", shape)
    options = ("--test-pairs", test_pairs, "--categories", folder / "categories.json")
    run("dataset", "build", folder / "pairs", folder / "dataset", *options)
    return folder / "dataset" / "test.jsonl"


def light_template(server: ComfyServer) -> Prompt:
    """The shipped workflow with places for a sample, and as light as it gets."""
    prompt = changed(light_prompt(server), "RelationSourceEncode", long_side=64)
    changed(prompt, "RelationScheduler", steps=2)
    for title, place in PLACES.items():
        prompt[titled(prompt, title)]["inputs"]["image"] = place
    changed(prompt, "CLIPTextEncode", text="{{text}}")
    return changed(prompt, "RandomNoise", noise_seed="{{seed}}")


def filled(template: Prompt, names: tuple[str, str, str], text: str, seed: int) -> Prompt:
    """Put a sample into the light template by hand."""
    prompt = copy.deepcopy(template)
    for title, name in zip(PLACES, names, strict=True):
        prompt[titled(prompt, title)]["inputs"]["image"] = name
    changed(prompt, "CLIPTextEncode", text=text)
    return changed(prompt, "RandomNoise", noise_seed=seed)


def evaluate(
    file: Path, folder: Path, workflow: Path, *servers: ComfyServer, options: tuple[object, ...] = ()
) -> list[object]:
    """The command line's arguments."""
    addresses = [part for server in servers for part in ("--server", server.address)]
    return ["evaluate", "run", file, folder, "--workflow", workflow, *addresses, *options]


def executed(server: ComfyServer) -> list[str]:
    """Ids of the prompts that this server has executed for evaluations."""
    history = server.get("history")
    return [identity for identity, entry in history.items() if UPLOADS in json.dumps(entry["prompt"][2])]


def results(folder: Path) -> list[str]:
    found = folder / "results"
    return sorted(path.name for path in found.glob("*.png")) if found.exists() else []


def all_results(file: Path) -> list[str]:
    return [f"{index:06d}.png" for index in range(len(samples(file)))]


class Client:
    """An evaluation that runs beside the test."""

    def __init__(self, arguments: list[object], log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(command(*arguments), cwd=ROOT, stdout=file, stderr=file)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def finish(self, patience: float) -> int:
        try:
            return self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(self._log.read_text()[-3000:]) from None


def kill_server(server: ComfyServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    server.__exit__()


def wait_until(true: Callable[[], bool], patience: float) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
