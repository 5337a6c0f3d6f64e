"""The workflow for relation transfer with a pair to try, and how workflows are converted as the page does it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from light_server import WORKFLOW, Run, changed, light_prompt, of_class, titled, without_complaints
from PIL import Image

from comfyui_host.find import PACK
from comfyui_host.server import ComfyServer
from scripts.workflow_to_api import ConversionError, workflow_to_api

API_FORM = Path(__file__).with_name("relation_transfer.api.json")


@pytest.fixture(scope="module")
def server(light_server: ComfyServer) -> Iterator[ComfyServer]:
    with without_complaints(light_server):
        yield light_server


@pytest.fixture
def workflow() -> dict[str, Any]:
    return json.loads(WORKFLOW.read_text(encoding="utf-8"))


def find(workflow: dict[str, Any], kind: str) -> dict[str, Any]:
    (node,) = (node for node in workflow["nodes"] if node["type"] == kind)
    return node


def test_the_shipped_workflow_ends_in_a_picture(server: ComfyServer) -> None:
    """Made light; `test_templates.py` runs it as it is, which is slow."""
    prompt = changed(light_prompt(server), "RandomNoise", noise_seed=3)  # that nothing is cached which makes the result
    run = Run(server, prompt)
    picture = run.picture()
    assert picture.shape == (80, 128, 3)  # the source, 128 wide, cut to multiples of 16
    assert picture.std() > 5
    comparison = Image.open(run.outcome.pictures[titled(run.prompt, "Comparison")][0])
    assert comparison.width > 4 * 80
    made = {"RandomNoise", "SamplerCustomAdvanced", "VAEDecode", "SaveImage", "RelationComparison", "PreviewImage"}
    assert made <= set(run.executed)


def test_the_api_form_is_the_page_s_own(server: ComfyServer, workflow: dict[str, Any]) -> None:
    """But for titles, which change from version to version."""
    converted, posted = workflow_to_api(workflow, server.get("object_info")), json.loads(API_FORM.read_text("utf-8"))
    for prompt in (converted, posted):
        for node in prompt.values():
            del node["_meta"]
    assert converted == posted


def test_values_after_a_seed_keep_their_places(server: ComfyServer) -> None:
    """The page saves what happens to a seed after a run as one more value, which is no input."""
    values = [5, "randomize", 20, 7.5, "euler", "simple", 0.75]
    node = {"id": 1, "type": "KSampler", "mode": 0, "widgets_values": values}
    prompt = workflow_to_api({"nodes": [node], "links": []}, server.get("object_info"))
    assert prompt["1"]["inputs"] == {
        "seed": 5,
        "steps": 20,
        "cfg": 7.5,
        "sampler_name": "euler",
        "scheduler": "simple",
        "denoise": 0.75,
    }


def test_a_bypassed_node_hands_its_input_on(server: ComfyServer, workflow: dict[str, Any]) -> None:
    bypassed = find(workflow, "ApplyRelationAdapter")
    bypassed["mode"] = 4
    prompt = workflow_to_api(workflow, server.get("object_info"))
    assert str(bypassed["id"]) not in prompt
    lora = find(workflow, "LoraLoaderModelOnly")
    assert prompt[of_class(prompt, "BasicGuider")]["inputs"]["model"] == [str(lora["id"]), 0]


def test_a_muted_node_leaves_its_links_open(server: ComfyServer, workflow: dict[str, Any]) -> None:
    muted = find(workflow, "RandomNoise")
    muted["mode"] = 2
    prompt = workflow_to_api(workflow, server.get("object_info"))
    assert str(muted["id"]) not in prompt
    assert "noise" not in prompt[of_class(prompt, "SamplerCustomAdvanced")]["inputs"]


def test_a_reroute_is_followed(server: ComfyServer, workflow: dict[str, Any]) -> None:
    direct = workflow_to_api(workflow, server.get("object_info"))
    vae = find(workflow, "VAEDecode")
    slot = next(slot for slot in vae["inputs"] if slot["name"] == "vae")
    node, link = workflow["last_node_id"] + 1, workflow["last_link_id"] + 1
    outputs = [{"name": "", "type": "VAE", "links": [link]}]
    inputs = [{"name": "", "type": "*", "link": slot["link"]}]
    workflow["nodes"].append({"id": node, "type": "Reroute", "mode": 0, "inputs": inputs, "outputs": outputs})
    workflow["links"].append([link, node, 0, vae["id"], 1, "VAE"])
    slot["link"] = link
    assert workflow_to_api(workflow, server.get("object_info")) == direct


def test_unknown_nodes_and_missing_values_are_refused(server: ComfyServer, workflow: dict[str, Any]) -> None:
    unknown = copy.deepcopy(workflow)
    find(unknown, "VAEDecode")["type"] = "SomebodysNode"
    with pytest.raises(ConversionError, match="'SomebodysNode', which this server does not know"):
        workflow_to_api(unknown, server.get("object_info"))
    find(workflow, "RelationScheduler")["widgets_values"].pop()
    with pytest.raises(ConversionError, match="has no value for 'denoise'"):
        workflow_to_api(workflow, server.get("object_info"))


def test_the_pictures_to_try_are_a_pair_and_a_source() -> None:
    before, after, source = (
        np.array(Image.open(PACK / "pictures" / name)) for name in ("cat_before.jpg", "cat_after.jpg", "coffee.jpg")
    )
    assert before.shape == after.shape and not np.array_equal(before, after)
    assert source.shape[1] == 512
