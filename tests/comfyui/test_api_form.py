"""Prompts in API form as 0.1.0 takes them: what nodes require stays as it is, and what comes later is optional."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from comfyui_host.graph import Graph, Node
from comfyui_host.host import Host
from comfyui_host.object_info import info_of, our_nodes

REQUIRED: dict[str, list[str]] = json.loads(Path(__file__).with_name("required_inputs.json").read_text())
"""Required inputs of every node in 0.1.0. A node's list is never changed; a new node gets one."""


def test_every_node_is_held_to_its_form(host: Host) -> None:
    assert set(REQUIRED) == set(our_nodes(host))


@pytest.mark.parametrize("name", REQUIRED)
def test_the_required_inputs_stay(host: Host, name: str) -> None:
    assert list(info_of(host, name)["input"].get("required", {})) == REQUIRED[name]


def edited(edit: str, **optional: dict[str, float]) -> tuple[Graph, Node]:
    """An edit with the small model, of required inputs and some optional ones by node."""
    graph = Graph()

    def add(kind: str, **inputs: object) -> Node:
        assert list(inputs) == REQUIRED[kind]
        return graph.add(kind, **inputs, **optional.get(kind, {}))

    small, example = (
        add("LoadSmallRelationModel"),
        add("RelationExample", edit=edit, exemplar_scene=0, source_scene=1),
    )
    relation = add(
        "RelationExemplarEncode",
        relation_adapter=small[2],
        before=example[0],
        after=example[1],
        fit="pad",
        weight=1.0,
    )
    prompt = add("RelationEmptyPrompt", model=small)
    source = add("RelationSourceEncode", conditioning=prompt, vae=small[1], image=example[2], long_side=0)
    model = add(
        "ApplyRelationAdapter", model=small, relation=relation, strength=1.0, start_percent=0.0, end_percent=1.0
    )
    sampled = graph.add(
        "SamplerCustomAdvanced",
        noise=graph.add("RandomNoise", noise_seed=0),
        guider=graph.add("BasicGuider", model=model, conditioning=source),
        sampler=graph.add("KSamplerSelect", sampler_name="euler"),
        sigmas=add("RelationScheduler", steps=2, latent=source[1], denoise=1.0),
        latent_image=source[1],
    )
    return graph, sampled


def latent(host: Host, **optional: dict[str, float]) -> torch.Tensor:
    graph, sampled = edited("invert", **optional)
    return host.run(graph, latent=sampled)["samples"]


def test_required_inputs_are_enough(host: Host) -> None:
    """Left out, the optional ones have the values of the schema, bit for bit; other values are another picture."""
    plain = latent(host)
    strengths = {"double_strength": 1.0, "single_strength": 1.0}
    written = latent(host, ApplyRelationAdapter=strengths, RelationSourceEncode={"source_scale": 1.0})
    assert torch.equal(plain, written)
    assert not torch.equal(plain, latent(host, ApplyRelationAdapter={**strengths, "single_strength": 0.5}))
    assert not torch.equal(plain, latent(host, RelationSourceEncode={"source_scale": 0.5}))
