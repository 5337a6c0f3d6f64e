"""The subgraph blueprint is the workflow for relation transfer as one node."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from comfyui_host.find import PACK
from comfyui_host.host import Host

BLUEPRINT = PACK / "subgraphs" / "Relation Transfer.json"
WORKFLOW = PACK / "workflows" / "relation_transfer.json"
OUTSIDE = {"LoadImage", "SaveImage", "PreviewImage", "RelationComparison", "MarkdownNote"}
SOCKETS = [("before", "IMAGE"), ("after", "IMAGE"), ("source", "IMAGE")]
FIRST_WIDGETS = ["prompt", "strength", "long_side", "seed"]
TITLE = 30
"""Pixels of a node's title, above its body."""

Edge = tuple[str, int, str, str]


@pytest.fixture
def blueprint() -> dict[str, Any]:
    return json.loads(BLUEPRINT.read_text(encoding="utf-8"))


@pytest.fixture
def subgraph(blueprint: dict[str, Any]) -> dict[str, Any]:
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    return subgraph


@pytest.fixture
def workflow() -> dict[str, Any]:
    return json.loads(WORKFLOW.read_text(encoding="utf-8"))


def by_type(graph: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Nodes by type; what stays outside of the blueprint is left out."""
    return {node["type"]: node for node in graph["nodes"] if node["type"] not in OUTSIDE}


def edges(graph: dict[str, Any], links: list[tuple[int, int, int, int]]) -> set[Edge]:
    """Links between nodes that are inside, by the types of both."""
    nodes = {node["id"]: node for node in graph["nodes"] if node["type"] not in OUTSIDE}
    return {
        (nodes[source]["type"], slot, nodes[target]["type"], nodes[target]["inputs"][place]["name"])
        for source, slot, target, place in links
        if source in nodes and target in nodes
    }


def test_the_host_offers_it(host: Host) -> None:
    from app.subgraph_manager import SubgraphManager

    offered = asyncio.run(SubgraphManager().get_custom_node_subgraphs([]))
    assert [(entry["name"], entry["info"]["node_pack"]) for entry in offered.values()] == [
        ("Relation Transfer", "custom_nodes.relation_adapter")
    ]


def test_it_is_one_node_with_pictures_and_a_prompt(blueprint: dict[str, Any], subgraph: dict[str, Any]) -> None:
    (node,) = blueprint["nodes"]
    assert (node["type"], node["title"], subgraph["name"]) == (subgraph["id"], "Relation Transfer", "Relation Transfer")
    assert [(slot["name"], slot["type"]) for slot in node["inputs"]] == SOCKETS
    assert [(slot["name"], slot["type"]) for slot in node["outputs"]] == [("result", "IMAGE")]
    names = [slot["name"] for slot in subgraph["inputs"]]
    assert names[: len(SOCKETS) + len(FIRST_WIDGETS)] == [name for name, _ in SOCKETS] + FIRST_WIDGETS
    assert all(len(slot["linkIds"]) == 1 for slot in (*subgraph["inputs"], *subgraph["outputs"]))
    aliases = blueprint["extra"]["BlueprintSearchAliases"]
    assert len(aliases) == len(set(aliases)) > 3 and all(alias == alias.lower().strip() for alias in aliases)
    assert subgraph["category"] == "RelationAdapter" and subgraph["description"].endswith(".")


def test_it_holds_the_workflows_nodes_and_links(subgraph: dict[str, Any], workflow: dict[str, Any]) -> None:
    """Built anew whenever the workflow changes: ``python -m scripts.build_blueprint``."""
    inside, expected = by_type(subgraph), by_type(workflow)
    assert set(inside) == set(expected)
    for kind, node in inside.items():
        assert node.get("widgets_values") == expected[kind].get("widgets_values"), kind
        assert node["properties"].get("models") == expected[kind]["properties"].get("models"), kind
    inner = [
        (link["origin_id"], link["origin_slot"], link["target_id"], link["target_slot"]) for link in subgraph["links"]
    ]
    assert edges(subgraph, inner) == edges(workflow, [tuple(link[1:5]) for link in workflow["links"]])


def test_the_simple_workflow_holds_it(subgraph: dict[str, Any]) -> None:
    """Built anew with it: ``python -m scripts.templates COMFYUI relation_transfer_simple``."""
    workflow = json.loads((PACK / "workflows" / "relation_transfer_simple.json").read_text(encoding="utf-8"))
    (held,) = workflow["definitions"]["subgraphs"]
    assert held["id"] == subgraph["id"]
    assert [node["type"] for node in workflow["nodes"]].count(subgraph["id"]) == 1
    for part in ("inputs", "outputs"):
        assert [(slot["name"], slot["type"]) for slot in held[part]] == [
            (slot["name"], slot["type"]) for slot in subgraph[part]
        ]
    values, expected = (
        {node["type"]: node.get("widgets_values") for node in graph["nodes"]} for graph in (held, subgraph)
    )
    assert values == expected
    ends = ("origin_id", "origin_slot", "target_id", "target_slot")
    links, expected_links = (
        {tuple(link[end] for end in ends) for link in graph["links"]} for graph in (held, subgraph)
    )
    assert links == expected_links


def test_what_can_be_set_outside_begins_with_the_values_inside(
    blueprint: dict[str, Any], subgraph: dict[str, Any]
) -> None:
    nodes = {node["id"]: node for node in subgraph["nodes"]}
    links = {link["id"]: link for link in subgraph["links"]}
    values = dict(
        zip([slot["name"] for slot in subgraph["inputs"][3:]], blueprint["nodes"][0]["widgets_values"], strict=True)
    )
    for slot in subgraph["inputs"][3:]:
        link = links[slot["linkIds"][0]]
        inner = nodes[link["target_id"]]
        name = inner["inputs"][link["target_slot"]]["widget"]["name"]
        assert values[slot["name"]] == inner["widgets_values_named"][name]


def test_nothing_overlaps(subgraph: dict[str, Any]) -> None:
    boxes = {
        node["type"] + str(node["id"]): (
            node["pos"][0],
            node["pos"][1] - TITLE,
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1],
        )
        for node in subgraph["nodes"]
    }
    for (one, a), (two, b) in itertools.combinations(boxes.items(), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], f"{one} lies over {two}"
    frames = [group["bounding"] for group in subgraph["groups"]]
    for name, (left, top, right, bottom) in boxes.items():
        inside = [f for f in frames if f[0] <= left and f[1] <= top and right <= f[0] + f[2] and bottom <= f[1] + f[3]]
        assert len(inside) == 1, f"{name} is in {len(inside)} groups"
