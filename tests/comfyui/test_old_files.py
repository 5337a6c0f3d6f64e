"""Workflows, relations and adapters that earlier commits wrote still load, and mean the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from light_server import Run, light, without_complaints
from old_prompts import LATER, OLD_FILES, WORKFLOWS, old_prompt, without_titles
from safetensors.torch import load_file

from comfyui_host.graph import Graph
from comfyui_host.host import Host
from comfyui_host.server import ComfyServer
from scripts.workflow_to_api import workflow_to_api

RELATIONS = {
    "relation_first": (),
    "relation_learned": (
        "learned from 3 pairs in 40 steps with flux1-dev.safetensors, the prompt 'Make it a woodcut.'",
    ),
}
RELATIONS["relation_card"] = RELATIONS["relation_learned"]
"""What they say of their learning."""


@pytest.fixture(scope="module")
def server(light_server: ComfyServer) -> Iterator[ComfyServer]:
    with without_complaints(light_server):
        yield light_server


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_posts_what_it_posted(server: ComfyServer, path: Path) -> None:
    """And the defaults of inputs that came later."""
    converted = workflow_to_api(json.loads(path.read_text(encoding="utf-8")), server.get("object_info"))
    assert without_titles(converted) == old_prompt(path)


def test_files_from_before_every_later_input_are_here() -> None:
    """A workflow of each node that has inputs of which its file says nothing."""
    kinds: set[str] = set()
    for path in WORKFLOWS:
        for node in json.loads(path.with_suffix(".api.json").read_text(encoding="utf-8")).values():
            if LATER.get(node["class_type"], {}).keys() - node["inputs"].keys():
                kinds.add(node["class_type"])
    assert kinds == set(LATER)


def test_a_workflow_with_a_former_edit_runs(server: ComfyServer) -> None:
    """Its edit has another name today."""
    prompt = old_prompt(OLD_FILES / "try_it_small.json")
    assert "recolour_red" in {node["inputs"].get("edit") for node in prompt.values()}
    assert Run(server, light(prompt)).outcome.status == "success"


@pytest.fixture
def graph(host: Host) -> Graph:
    """A graph in a ComfyUI that has the old adapters and relations."""
    for kind, folder in (("adapter", "relation_adapter"), ("relation", "relations")):
        for path in OLD_FILES.glob(f"{kind}_*.safetensors"):
            shutil.copy(path, host.model_folder(folder))
    host.forget_file_lists()
    return Graph()


@pytest.mark.parametrize("adapter", ["adapter_first", "adapter_card"])
@pytest.mark.parametrize("name", RELATIONS)
def test_a_relation_has_the_keys_that_it_had(host: Host, graph: Graph, adapter: str, name: str) -> None:
    opened = graph.add(
        "LoadRelationAdapter", adapter_name=f"{adapter}.safetensors", vision_name="one_head/model.safetensors"
    )
    loaded = graph.add("LoadRelation", relation_adapter=opened, relation_name=f"{name}.safetensors")
    relation, expected = host.run(graph, relation=loaded), load_file(OLD_FILES / "keys.safetensors")
    torch.testing.assert_close(relation.keys_values.keys, expected["keys"])
    torch.testing.assert_close(relation.keys_values.values, expected["values"])
    assert relation.pair_weights == (0.75, 0.75)
    assert relation.thumbnails.shape == (2, 16, 32, 3)
    assert tuple(map(str, relation.learned)) == RELATIONS[name]
