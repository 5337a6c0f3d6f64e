"""The files of the shipped workflows, as the page reads them: arranged as a person would wish."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from shipped import NAMES, NOTES, TEMPLATES, all_nodes, workflow_of

TITLE = 30
"""Pixels of a node's title, above its body."""


@pytest.mark.parametrize("name", [name for name in NAMES if "linearData" in workflow_of(name)["extra"]])
def test_the_form_names_widgets_and_pictures(name: str) -> None:
    """What App mode shows, in the way that pages of every version read; the workflow opens as a graph."""
    workflow = workflow_of(name)
    nodes, form = {node["id"]: node for node in workflow["nodes"]}, workflow["extra"]["linearData"]
    assert workflow["extra"]["linearMode"] is False
    assert form["inputs"] and form["outputs"]
    for number, widget in form["inputs"]:
        assert widget in nodes[number]["widgets_values_named"], (nodes[number]["type"], widget)
    assert {nodes[number]["type"] for number in form["outputs"]} <= {"SaveImage", "PreviewImage"}


def test_these_have_a_form() -> None:
    assert {name for name in NAMES if "linearData" in workflow_of(name)["extra"]} >= {
        "try_it_small",
        "relation_transfer_simple",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_its_folder_and_address(name: str) -> None:
    """What the missing-model dialog needs: a file by the name in the widget, a folder, an address it accepts."""
    workflow, listed = workflow_of(name), set()
    for node in all_nodes(workflow):
        for model in node["properties"].get("models", ()):
            assert model["name"] in node["widgets_values"]
            assert model["url"].startswith("https://huggingface.co/") and model["url"].endswith(f"/{model['name']}")
            assert model["directory"]
            listed.add(model["name"])
    assert listed == model_names(workflow)
    assert bool(listed) == (not name.startswith("try_it_small"))


@pytest.mark.parametrize("name", NAMES)
def test_the_notes_name_every_model(name: str) -> None:
    workflow = workflow_of(name)
    notes = "\n".join(node["widgets_values"][0] for node in all_nodes(workflow) if node["type"] in NOTES)
    assert [name for name in model_names(workflow) if name not in notes] == []


def model_names(workflow: dict[str, Any]) -> set[str]:
    """Files of models that the nodes name; a saved relation is none."""
    values = [
        value
        for node in all_nodes(workflow)
        if node["type"] not in (*NOTES, "LoadRelation")
        for value in node.get("widgets_values") or ()
    ]
    return {value for value in values if isinstance(value, str) and value.endswith((".safetensors", ".bin"))}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps_and_every_node_is_in_its_group(name: str) -> None:
    workflow = workflow_of(name)
    boxes = {
        f"{node['type']} {node['id']}": (
            node["pos"][0],
            node["pos"][1] - TITLE,
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1],
        )
        for node in workflow["nodes"]
    }
    groups = {
        group["title"]: (x, y, x + width, y + height)
        for group in workflow["groups"]
        for x, y, width, height in [group["bounding"]]
    }
    for things in (boxes, groups):
        for (first, a), (second, b) in itertools.combinations(things.items(), 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], f"{first} lies over {second}"
    for node, box in boxes.items():
        inside = [
            title
            for title, frame in groups.items()
            if frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]
        ]
        outside = [
            title
            for title, frame in groups.items()
            if box[2] <= frame[0] or frame[2] <= box[0] or box[3] <= frame[1] or frame[3] <= box[1]
        ]
        assert len(inside) + len(outside) == len(groups), f"{node} sticks out of a group"


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_it_has_a_thumbnail(path: Path) -> None:
    with Image.open(path.with_suffix(".jpg")) as thumbnail:
        assert thumbnail.format == "JPEG" and min(thumbnail.size) >= 256
    assert path.with_suffix(".jpg").stat().st_size < 200_000


def test_these_are_the_templates() -> None:
    assert NAMES == [
        "relation_controlnet",
        "relation_dataset",
        "relation_fast",
        "relation_folder",
        "relation_fp8",
        "relation_pairs_mask",
        "relation_reuse",
        "relation_save",
        "relation_transfer",
        "relation_transfer_simple",
        "relation_upscale",
        "try_it_small",
        "try_it_small_tune",
        "tune_relation",
    ]
