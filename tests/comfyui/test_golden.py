"""The authors' edit, computed by the nodes in a real ComfyUI from the picture files on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from graph import Graph, Node
from host import Host
from safetensors.torch import load_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BOUND = 1e-5


@dataclass
class Case:
    name: str
    meta: dict[str, float]
    tensors: dict[str, torch.Tensor]


@pytest.fixture(params=["one_head", "two_heads"])
def case(request: pytest.FixtureRequest, host: Host) -> Case:
    folder = GOLDEN / request.param
    for kind, file in (
        ("diffusion_models", "transformer.safetensors"),
        ("loras", "pytorch_lora_weights.safetensors"),
        ("relation_adapter", "ip_adapter.bin"),
    ):
        target = host.model_folder(kind) / request.param
        target.mkdir(exist_ok=True)
        shutil.copy(folder / file, target / file)
    shutil.copytree(folder / "vision", host.model_folder("clip_vision") / request.param, dirs_exist_ok=True)
    inputs = host.base / "input"
    inputs.mkdir(exist_ok=True)
    for file in ("before.png", "after.png", "source.png"):
        shutil.copy(folder / file, inputs / f"{request.param}_{file}")
    return Case(request.param, json.loads((folder / "meta.json").read_text()), load_file(folder / "case.safetensors"))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def relation_of(graph: Graph, case: Case) -> Node:
    adapter = graph.add(
        "LoadRelationAdapter",
        adapter_name=f"{case.name}/ip_adapter.bin",
        vision_name=f"{case.name}/model.safetensors",
    )
    before, after = (graph.add("LoadImage", image=f"{case.name}_{name}.png") for name in ("before", "after"))
    return graph.add(
        "RelationExemplarEncode", relation_adapter=adapter, before=before, after=after, fit="pad", weight=1.0
    )


def sampled(host: Host, graph: Graph, case: Case, steps: int | None = None) -> Node:
    unet = graph.add("UNETLoader", unet_name=f"{case.name}/transformer.safetensors", weight_dtype="default")
    lora = graph.add(
        "LoraLoaderModelOnly",
        model=unet,
        lora_name=f"{case.name}/pytorch_lora_weights.safetensors",
        strength_model=1.0,
    )
    model = graph.add(
        "ApplyRelationAdapter",
        model=lora,
        relation=relation_of(graph, case),
        strength=case.meta["scale"],
        start_percent=0.0,
        end_percent=1.0,
        double_strength=1.0,
        single_strength=1.0,
    )
    source = case.tensors["source_latent"] / 0.3611 + 0.1159  # as the VAE gives it
    latent = host.value(graph, "latent", {"samples": torch.zeros_like(source)})
    text = [[case.tensors["text"], {"pooled_output": case.tensors["pooled"], "guidance": case.meta["guidance"]}]]
    conditioning = graph.add(
        "ReferenceLatent",
        conditioning=host.value(graph, "text", text),
        latent=host.value(graph, "source", {"samples": source}),
    )
    sigmas = graph.add("RelationScheduler", steps=int(case.meta["steps"]), latent=latent, denoise=1.0)
    if steps is not None:
        sigmas = graph.add("SplitSigmas", sigmas=sigmas, step=steps)
    return graph.add(
        "SamplerCustomAdvanced",
        noise=graph.add("ProbeNoise", tensor=host.value(graph, "noise", case.tensors["noise"])),
        guider=graph.add("BasicGuider", model=model, conditioning=conditioning),
        sampler=graph.add("KSamplerSelect", sampler_name="euler"),
        sigmas=sigmas,
        latent_image=latent,
    )


def test_relation_tokens(host: Host, case: Case) -> None:
    graph = Graph()
    relation = host.run(graph, relation=relation_of(graph, case))
    assert relative_error(relation.tokens, case.tensors["tokens"].flatten(0, 1)[None]) < BOUND


def test_final_latent(host: Host, case: Case) -> None:
    graph = Graph()
    result = host.run(graph, result=sampled(host, graph, case))
    assert relative_error((result["samples"] - 0.1159) * 0.3611, case.tensors["final"]) < BOUND


def test_first_prediction(host: Host, case: Case) -> None:
    graph = Graph()
    result = host.run(graph, result=sampled(host, graph, case, steps=1))
    sigmas = case.tensors["sigmas"]
    # A sampler that stops early hands on x / (1 - sigma): the host's inverse noise scaling.
    latent = (result["samples"] - 0.1159) * 0.3611 * (1 - sigmas[1])
    # One Euler step: x1 = x0 + (sigma1 - sigma0) * prediction.
    prediction = (latent - case.tensors["latent_0"]) / (sigmas[1] - sigmas[0])
    assert relative_error(prediction, case.tensors["first_pred"]) < BOUND
