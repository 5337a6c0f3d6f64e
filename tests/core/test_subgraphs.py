"""Workflows with subgraphs, opened to the nodes that the page's prompt has."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.workflow_to_api import workflow_to_api

INFO = {
    "Load": {"display_name": "Load", "input": {}, "input_order": {}},
    "Scale": {
        "display_name": "Scale",
        "input": {"required": {"image": ["IMAGE", {}], "by": ["FLOAT", {}], "way": [["area", "nearest"], {}]}},
        "input_order": {"required": ["image", "by", "way"]},
    },
    "Save": {
        "display_name": "Save",
        "input": {"required": {"image": ["IMAGE", {}]}},
        "input_order": {"required": ["image"]},
    },
}
INSIDE, OUTSIDE = "inner", "outer"


def slot(name: str, link: int | None, widget: bool = False) -> dict[str, Any]:
    return {"name": name, "type": "IMAGE", "link": link} | ({"widget": {"name": name}} if widget else {})


def link(identity: int, origin: int, target: int, place: int = 0, begin: int = 0) -> dict[str, int]:
    return {"id": identity, "origin_id": origin, "origin_slot": begin, "target_id": target, "target_slot": place}


def node(identity: int, kind: str, inputs: list[dict[str, Any]], values: list[Any] | None = None) -> dict[str, Any]:
    slots = [{"type": "IMAGE"}]
    return {"id": identity, "type": kind, "mode": 0, "inputs": inputs, "outputs": slots, "widgets_values": values or []}


@pytest.fixture
def workflow() -> dict[str, Any]:
    """Load, a subgraph that holds a subgraph that scales by what is set outside of both, and Save."""
    scale = node(1, "Scale", [slot("image", 1), slot("by", 2, widget=True)], [1.0, "area"])
    inner = {
        "id": INSIDE,
        "inputs": [{"name": "picture"}, {"name": "times"}],
        "outputs": [{"name": "result"}],
        "nodes": [scale],
        "links": [link(1, -10, 1), link(2, -10, 1, 1, 1), link(3, 1, -20)],
    }
    held = node(5, INSIDE, [slot("picture", 8), slot("times", 9, widget=True)], [1.0])
    outer = {
        "id": OUTSIDE,
        "inputs": [{"name": "image"}, {"name": "factor"}],
        "outputs": [{"name": "image"}],
        "nodes": [held],
        "links": [link(8, -10, 5), link(9, -10, 5, 1, 1), link(10, 5, -20)],
    }
    return {
        "nodes": [
            node(1, "Load", []),
            node(2, OUTSIDE, [slot("image", 1)], [4.0]),
            node(3, "Save", [slot("image", 2)]),
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
        "definitions": {"subgraphs": [inner, outer]},
    }


def inputs_of(workflow: dict[str, Any]) -> dict[str, Any]:
    return {key: value["inputs"] for key, value in workflow_to_api(workflow, INFO).items()}


def test_a_subgraph_in_a_subgraph_gets_what_is_set_outside(workflow: dict[str, Any]) -> None:
    assert inputs_of(workflow) == {
        "1": {},
        "2:5:1": {"image": ["1", 0], "by": 4.0, "way": "area"},
        "3": {"image": ["2:5:1", 0]},
    }


def test_a_link_counts_more_than_a_value(workflow: dict[str, Any]) -> None:
    workflow["nodes"][1]["inputs"].append(slot("factor", 3, widget=True))
    workflow["links"].append([3, 1, 0, 2, 1, "FLOAT"])
    assert inputs_of(workflow)["2:5:1"]["by"] == ["1", 0]


def test_two_of_one_subgraph_are_two(workflow: dict[str, Any]) -> None:
    workflow["nodes"].append(node(4, OUTSIDE, [slot("image", 4)], [2.0]))
    workflow["links"].append([4, 2, 0, 4, 0, "IMAGE"])
    found = inputs_of(workflow)
    assert (found["2:5:1"]["by"], found["4:5:1"]["by"]) == (4.0, 2.0)
    assert found["4:5:1"]["image"] == ["2:5:1", 0]


@pytest.mark.parametrize(("mode", "expected"), [(2, {}), (4, {"image": ["1", 0]})])
def test_muted_and_bypassed_it_stays_one_node(workflow: dict[str, Any], mode: int, expected: dict[str, Any]) -> None:
    workflow["nodes"][1]["mode"] = mode
    assert inputs_of(workflow) == {"1": {}, "3": expected}
