"""No node takes a number that is NaN, infinite or out of its range, be it from a widget or from another node."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from edits import Edit
from refusals import message_of

from comfyui_host.graph import Graph
from comfyui_host.host import GraphError, Host
from comfyui_host.object_info import info_of, inputs_of, our_nodes

WRONG = (math.nan, math.inf, -math.inf, 1e999, 10**30, -(10**30), 10**400, "", "1", "\u0661", True, np.float32("nan"))
NODES_WITH_NUMBERS = {
    *("ApplyRelationAdapter", "BlendRelations", "LoadRelationSample", "RelationExample", "RelationExemplarEncode"),
    *("RelationScheduler", "RelationSourceEncode", "RelationSourceReuse", "TuneRelation"),
}


def numbers_of(host: Host, node: str) -> dict[str, tuple[str, dict[str, Any]]]:
    inputs = inputs_of(info_of(host, node))
    return {name: (kind, options) for name, (kind, options, _) in inputs.items() if kind in ("INT", "FLOAT")}


def graph_with(host: Host, node: str, number: str, value: Any) -> tuple[Graph, Any]:
    """A node that gets a number over a link, and over all others what no node could use."""
    graph, inputs = Graph(), {}
    for name, (kind, options, _) in inputs_of(info_of(host, node)).items():
        if name == number:
            inputs[name] = host.value(graph, name, value)
        elif kind in ("INT", "FLOAT"):
            inputs[name] = options["default"]
        else:
            inputs[name] = host.value(graph, name, None)
    return graph, graph.add(node, **inputs)


def refusal(host: Host, graph: Graph, node: Any) -> str:
    with pytest.raises(GraphError) as caught:
        host.run(graph, out=node[0])
    return str(caught.value).strip()


def test_every_number_has_a_range(host: Host) -> None:
    assert {node for node in our_nodes(host) if numbers_of(host, node)} >= NODES_WITH_NUMBERS
    for node in our_nodes(host):
        for name, (_, options) in numbers_of(host, node).items():
            assert math.isfinite(options["min"]) and math.isfinite(options["max"]), (node, name)
            assert options["min"] <= options["default"] <= options["max"], (node, name)


def test_what_comes_from_other_nodes_is_checked(host: Host) -> None:
    for node in sorted(our_nodes(host)):
        for name, (kind, options) in numbers_of(host, node).items():
            fractions = (1.5, 2.0) if kind == "INT" else ()
            for value in (*WRONG, options["min"] - 1, options["max"] + 1, *fractions):
                message = refusal(host, *graph_with(host, node, name, value))
                assert re.match(rf"\S+\.RelationAdapterError: Got {name} = ", message), (node, name, value, message)
                number = "a whole number" if kind == "INT" else "a number"
                assert f"; expected {number} from " in message, message
                assert message.endswith("Change it, or the node that sends it.")


def test_what_is_in_range_is_taken(host: Host) -> None:
    """The error is then about what else is wrong, or there is none."""
    for node in sorted(our_nodes(host)):
        for name, (kind, options) in numbers_of(host, node).items():
            kinds: tuple[Any, ...] = (int, np.int64) if kind == "INT" else (float, np.float64)
            for value in (options["min"], options["max"]):
                for of in kinds if abs(value) < 2**63 else kinds[:1]:
                    graph, run = graph_with(host, node, name, of(value))
                    if node == "RelationExample":  # has no other inputs than its menu
                        graph.nodes[run.name]["inputs"]["edit"] = "recolour red"
                    try:
                        host.run(graph, out=run[0])
                    except GraphError as error:
                        assert f"Got {name} = " not in str(error), (node, name, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_mask_that_is_not_of_numbers_is_refused(host: Host, value: float) -> None:
    edit = Edit(host)
    mask = torch.ones(1, 8, 8)
    mask[0, 3, 4] = value
    applied = edit.apply(edit.model(), edit.relation(), mask=edit.value(mask))
    message = message_of(edit, applied, "ExemplarError")
    assert message.startswith("The mask has NaN or infinite values; expected values from 0 to 1.")


def test_nan_in_a_widget_is_refused(host: Host) -> None:
    """ComfyUI compares it with both ends of the range, which is no hindrance to it."""
    for node in sorted(our_nodes(host)):
        for name in (name for name, (kind, _) in numbers_of(host, node).items() if kind == "FLOAT"):
            graph, run = graph_with(host, node, name, None)
            graph.nodes[run.name]["inputs"][name] = math.nan
            message = refusal(host, graph, run)
            assert re.match(rf"\S+\.RelationAdapterError: Got {name} = nan; expected a number from ", message), message
