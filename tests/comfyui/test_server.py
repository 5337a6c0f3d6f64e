"""A real server keeps no trace of the relation: not after an interrupt, not without the node, not in its memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from light_server import (
    RELATION_BYTES,
    Run,
    changed,
    light_prompt,
    of_class,
    without_complaints,
    without_relation,
)

from comfyui_host.server import ComfyServer, Prompt

PROMPTS, WARM_UP = 9, 5


@pytest.fixture(scope="module")
def server(light_server: ComfyServer) -> Iterator[ComfyServer]:
    with without_complaints(light_server):
        yield light_server


def with_pairs(prompt: Prompt, count: int) -> Prompt:
    """The same exemplar pair many times over."""
    prompt = copy.deepcopy(prompt)
    exemplar = prompt[of_class(prompt, "RelationExemplarEncode")]["inputs"]
    for name in ("before", "after"):
        prompt[name] = {"class_type": "RepeatImageBatch", "inputs": {"image": exemplar[name], "amount": count}}
        exemplar[name] = [name, 0]
    return prompt


def test_removing_the_node_restores_the_picture(server: ComfyServer, first_run: tuple[ComfyServer, np.ndarray]) -> None:
    """To what the server made before it ever had the node; and with the node it makes the same again."""
    related = light_prompt(server)
    first = Run(server, related).picture()
    assert not np.array_equal(first, first_run[1])
    plain, again = Run(server, without_relation(related)), Run(server, related)
    for run, expected in ((plain, first_run[1]), (again, first)):
        assert "SamplerCustomAdvanced" in run.executed
        assert np.array_equal(run.picture(), expected)


@pytest.mark.parametrize("node", ["RelationExemplarEncode", "SamplerCustomAdvanced"])
def test_an_interrupt_leaves_the_server_as_it_was(server: ComfyServer, node: str) -> None:
    prompt = changed(light_prompt(server), "RandomNoise", noise_seed=7)
    before = Run(server, prompt).picture()
    slow = changed(with_pairs(prompt, 60), "RelationScheduler", steps=200)
    if node == "SamplerCustomAdvanced":
        slow = changed(copy.deepcopy(prompt), "RelationScheduler", steps=200)
    stopped = Run(server, slow, interrupt_at=(node, 2))
    assert stopped.outcome.status == "interrupted"
    assert stopped.executed[-1] == node
    after = Run(server, prompt)
    assert "SamplerCustomAdvanced" in after.executed
    assert np.array_equal(after.picture(), before)


def test_memory_does_not_grow(server: ComfyServer, record_property: pytest.RecordProperty) -> None:
    """Every prompt makes a relation of its own; if they were kept, the last would find 6 more than the first."""
    process = psutil.Process(server.pid)
    prompt = changed(light_prompt(server), "RelationScheduler", steps=1)

    def run(index: int) -> int:
        changed(prompt, "RandomNoise", noise_seed=index)
        changed(prompt, "RelationExemplarEncode", weight=1.0 + (index + 1) / 100)
        run = Run(server, prompt)
        run.picture()
        assert {"RelationExemplarEncode", "SamplerCustomAdvanced"} <= set(run.executed)
        return process.memory_info().rss

    sizes = [run(index) for index in range(WARM_UP + PROMPTS)][WARM_UP:]
    growth = min(sizes[-3:]) - min(sizes[:3])  # from prompt to prompt the allocator keeps more or less
    record_property("memory_growth_bytes", growth)
    print(f"memory over {PROMPTS} prompts: {growth / 1e6:+.1f} MB, where one relation is {RELATION_BYTES / 1e6:.1f} MB")
    assert growth < 2 * RELATION_BYTES
