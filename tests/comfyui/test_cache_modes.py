"""Under each of ComfyUI's caches, with two clients and their interrupts, every picture is that of a lone run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from drawn_prompts import VERSIONS, DrawnPrompt, Files, saving
from light_server import complaints
from PIL import Image
from safetensors.numpy import load_file

from comfyui_host.find import find_comfyui
from comfyui_host.server import ComfyServer, Message, Outcome

MODES = {"classic": ["--cache-classic"], "lru": ["--cache-lru", "20"], "none": ["--cache-none"], "ram": ["--cache-ram"]}
CLIENTS, RECIPES, ROUNDS = ("one", "two"), 25, 3
"""In every round each client runs every graph with every version of its files: 300 prompts, and what is interrupted."""
INTERRUPTED = 0.2
GROWTH = 24 << 20
"""Bytes over the last two rounds: one copy of the small model, or 120 kB a prompt."""
Key = tuple[int, int]
"""A recipe, and the version of the files."""
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Made:
    """What a prompt has made."""

    pictures: list[np.ndarray]
    relations: list[Arrays]
    """Those saved; a Save Relation that the cache spares saves none."""

    def differs(self, lone: Made) -> bool:
        """Whether a picture is not the lone run's, or a relation is none of its."""
        if len(self.pictures) != len(lone.pictures) or not all(map(np.array_equal, self.pictures, lone.pictures)):
            return True
        return not all(any(equal(saved, one) for one in lone.relations) for saved in self.relations)


def equal(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


class Client:
    """One that replaces its files, queues prompts, interrupts some, and looks at what comes."""

    def __init__(self, server: ComfyServer, name: str, relations: list[bytes]) -> None:
        self._server, self._name, self._relations = server, name, relations
        self._files = Files(server.base, name)

    def made(self, key: Key) -> Made:
        """Run a prompt to its end."""
        before = self._saved()
        outcome = self._run(key)
        assert outcome.status == "success", (key, outcome)
        nodes = sorted(outcome.pictures, key=int)
        pictures = [np.array(Image.open(path)) for node in nodes for path in outcome.pictures[node]]
        return Made(pictures, [load_file(path) for path in self._saved() - before])

    def interrupted(self, key: Key, at: int) -> bool:
        """Run a prompt and interrupt it at this message; whether it had not ended before."""
        seen = 0

        def watch(message: Message) -> None:
            nonlocal seen
            seen += message.kind in {"executing", "progress"}
            if seen == at:
                self._server.interrupt(message.data["prompt_id"])

        outcome = self._run(key, watch)
        assert outcome.status in {"success", "interrupted"}, (key, outcome)
        return outcome.status == "interrupted"

    def _run(self, key: Key, watch: Callable[[Message], None] | None = None) -> Outcome:
        recipe, version = key
        self._files.show(version, self._relations[version])
        return self._server.run(DrawnPrompt(recipe, self._name).nodes, watch, self._name)

    def _saved(self) -> set[Path]:
        return set((self._server.base / "output" / "relations" / self._name).glob("saved*"))


@contextmanager
def started(base: Path, flags: list[str]) -> Iterator[ComfyServer]:
    comfyui = find_comfyui()
    assert comfyui is not None
    with ComfyServer(comfyui, base, *flags, threads=1) as server:
        yield server
        assert complaints(server) == []


@dataclass(frozen=True)
class Lone:
    """What lone runs made, and the relations that clients' files show."""

    made: dict[Key, Made]
    relations: list[bytes]


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Lone:
    """Each graph with each version of the files, on a server that keeps nothing between them."""
    with started(tmp_path_factory.mktemp("lone"), MODES["none"]) as server:
        relations = []
        for version in range(VERSIONS):
            assert server.run(saving(version, f"version{version}")).status == "success"
            (saved,) = (server.base / "output" / "relations").glob(f"version{version}*")
            relations.append(saved.read_bytes())
        assert relations[0] != relations[1]
        client = Client(server, "lone", relations)
        return Lone({key: client.made(key) for key in keys()}, relations)


def keys() -> list[Key]:
    return [(recipe, version) for recipe in range(RECIPES) for version in range(VERSIONS)]


def a_round(client: Client, lone: Lone, seed: str) -> tuple[list[Key], int]:
    """Every graph and version once in a random order; those that differ, and how many others were interrupted."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    order = draw.sample(keys(), k=RECIPES * VERSIONS)
    wrong, interrupted = [], 0
    for key in order:
        if draw.random() < INTERRUPTED:
            interrupted += client.interrupted(draw.choice(order), draw.randint(1, 30))
        if client.made(key).differs(lone.made[key]):
            wrong.append(key)
    return wrong, interrupted


def memory(server: ComfyServer) -> int:
    """Bytes that the server holds once it was told to drop its caches and models."""
    server.post("free", {"unload_models": True, "free_memory": True}).raise_for_status()
    time.sleep(12)  # it collects garbage every ten seconds at most
    return psutil.Process(server.pid).memory_info().rss


@pytest.mark.slow
def test_lone_runs_show_which_files_they_read(lone: Lone) -> None:
    reading = {recipe: DrawnPrompt(recipe, "lone").reads_files for recipe in range(RECIPES)}
    assert sum(reading.values()) >= RECIPES // 2
    assert {recipe: lone.made[recipe, 0].differs(lone.made[recipe, 1]) for recipe in reading} == reading


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_300_prompts_of_two_clients(mode: str, lone: Lone, tmp_path: Path) -> None:
    sizes, interrupted, wrong = [], 0, []
    with started(tmp_path, MODES[mode]) as server, ThreadPoolExecutor(len(CLIENTS)) as pool:
        clients = {name: Client(server, name, lone.relations) for name in CLIENTS}
        for number in range(ROUNDS):
            runs = [pool.submit(a_round, client, lone, f"{name} {number}") for name, client in clients.items()]
            for run in runs:
                wrong += run.result()[0]
                interrupted += run.result()[1]
            sizes.append(memory(server))
    print(f"{mode}: {interrupted} interrupted, memory {[size >> 20 for size in sizes]} MiB")
    assert wrong == []
    assert interrupted >= 10
    assert min(sizes[1:]) - sizes[0] < GROWTH
