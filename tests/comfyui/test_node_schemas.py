"""Every node as the page gets it from ``/object_info``: the contract, and that nothing is left unexplained."""

from __future__ import annotations

from typing import Any

import pytest

from comfyui_host.host import Host
from comfyui_host.object_info import info_of, inputs_of, our_nodes

CONTRACT: dict[str, tuple[dict[str, tuple[Any, ...]], dict[str, str]]] = {
    # node: inputs as (type, default) and "optional" or "advanced", outputs by name
    "LoadRelationAdapter": (
        {"adapter_name": ("COMBO", None), "vision_name": ("COMBO", None)},
        {"relation_adapter": "RELATION_ADAPTER"},
    ),
    "RelationExemplarEncode": (
        {
            "relation_adapter": ("RELATION_ADAPTER", None),
            "before": ("IMAGE", None),
            "after": ("IMAGE", None),
            "fit": ("COMBO", "pad"),
            "weight": ("FLOAT", 1.0),
            "relation": ("RELATION", None, "optional"),
        },
        {"relation": "RELATION"},
    ),
    "ApplyRelationAdapter": (
        {
            "model": ("MODEL", None),
            "relation": ("RELATION", None),
            "strength": ("FLOAT", 1.0),
            "start_percent": ("FLOAT", 0.0),
            "end_percent": ("FLOAT", 1.0),
            "double_strength": ("FLOAT", 1.0, "optional", "advanced"),
            "single_strength": ("FLOAT", 1.0, "optional", "advanced"),
            "mask": ("MASK", None, "optional"),
        },
        {"model": "MODEL"},
    ),
    "RelationSourceEncode": (
        {
            "conditioning": ("CONDITIONING", None),
            "vae": ("VAE", None),
            "image": ("IMAGE", None),
            "long_side": ("INT", 512),
            "source_scale": ("FLOAT", 1.0, "optional", "advanced"),
        },
        {"conditioning": "CONDITIONING", "latent": "LATENT"},
    ),
    "RelationScheduler": (
        {"steps": ("INT", 24), "latent": ("LATENT", None), "denoise": ("FLOAT", 1.0)},
        {"sigmas": "SIGMAS"},
    ),
    "RelationSourceReuse": (
        {
            "model": ("MODEL", None),
            "refresh_every": ("INT", 4),
            "reuse_8bit": ("BOOLEAN", False, "optional", "advanced"),
        },
        {"model": "MODEL"},
    ),
    "RelationWatch": ({"model": ("MODEL", None)}, {"model": "MODEL", "watch": "RELATION_WATCH"}),
    "RelationWatchPicture": (
        {"watch": ("RELATION_WATCH", None), "latent": ("LATENT", None), "image": ("IMAGE", None)},
        {"image": "IMAGE", "curve": "IMAGE"},
    ),
    "RelationKeep": (
        {
            "source": ("IMAGE", None),
            "result": ("IMAGE", None),
            "threshold": ("FLOAT", 0.0, "optional"),
            "grow": ("INT", 0, "optional"),
            "feather": ("INT", 0, "optional"),
        },
        {"image": "IMAGE", "mask": "MASK"},
    ),
    "BlendRelations": (
        {
            "relation_1": ("RELATION", None),
            "relation_2": ("RELATION", None),
            "ratio": ("FLOAT", 0.5),
            "mode": ("COMBO", "average"),
        },
        {"relation": "RELATION"},
    ),
    "SaveRelation": (
        {
            "relation": ("RELATION", None),
            "filename_prefix": ("STRING", "relation"),
            "title": ("STRING", "", "optional"),
            "description": ("STRING", "", "optional"),
        },
        {},
    ),
    "LoadRelation": (
        {"relation_adapter": ("RELATION_ADAPTER", None), "relation_name": ("COMBO", None)},
        {"relation": "RELATION"},
    ),
    "TuneRelation": (
        {
            "model": ("MODEL", None),
            "relation_adapter": ("RELATION_ADAPTER", None),
            "vae": ("VAE", None),
            "conditioning": ("CONDITIONING", None),
            "before": ("IMAGE", None),
            "after": ("IMAGE", None),
            "steps": ("INT", 400),
            "learning_rate": ("FLOAT", 0.15),
            "seed": ("INT", 0),
            "long_side": ("INT", 512),
            "batch_size": ("INT", 16, "optional", "advanced"),
            "relation": ("RELATION", None, "optional"),
        },
        {"relation": "RELATION", "curve": "IMAGE"},
    ),
    "SplitImagePair": ({"image": ("IMAGE", None)}, {"before": "IMAGE", "after": "IMAGE"}),
    "RelationComparison": (
        {"before": ("IMAGE", None), "after": ("IMAGE", None), "source": ("IMAGE", None), "result": ("IMAGE", None)},
        {"image": "IMAGE"},
    ),
    "LoadRelationSample": (
        {"dataset": ("COMBO", None), "index": ("INT", 0)},
        {"before": "IMAGE", "after": "IMAGE", "source": "IMAGE", "target": "IMAGE", "instruction": "STRING"},
    ),
    "RelationEmptyPrompt": ({"model": ("MODEL", None)}, {"conditioning": "CONDITIONING"}),
    "LoadSmallRelationModel": ({}, {"model": "MODEL", "vae": "VAE", "relation_adapter": "RELATION_ADAPTER"}),
    "RelationExample": (
        {
            "edit": ("COMBO", None),
            "exemplar_scene": ("INT", 0),
            "source_scene": ("INT", 1),
            "pairs": ("INT", 1, "optional"),
        },
        {"before": "IMAGE", "after": "IMAGE", "source": "IMAGE", "target": "IMAGE"},
    ),
}
EXPERIMENTAL = {"LoadSmallRelationModel", "RelationEmptyPrompt", "RelationExample"}
CHOICES = {("RelationExemplarEncode", "fit"): ["pad", "stretch"], ("BlendRelations", "mode"): ["average", "concat"]}


def test_these_are_all_nodes(host: Host) -> None:
    assert set(our_nodes(host)) == set(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contract(host: Host, name: str) -> None:
    expected, outputs = CONTRACT[name]
    info = info_of(host, name)
    inputs = inputs_of(info)
    assert list(inputs) == [*(key for key in expected if "optional" not in expected[key]), *_optional(expected)]
    for key, (kind, default, *flags) in expected.items():
        found, options, optional = inputs[key]
        assert found == kind
        assert optional == ("optional" in flags)
        assert bool(options.get("advanced")) == ("advanced" in flags)
        assert options.get("default") == default
        if (name, key) in CHOICES:
            assert options["options"] == CHOICES[name, key]
    assert dict(zip(info["output_name"], info["output"], strict=True)) == outputs
    assert info["output_node"] == (name == "SaveRelation")


def _optional(expected: dict[str, tuple[Any, ...]]) -> list[str]:
    return [key for key in expected if "optional" in expected[key]]


@pytest.mark.parametrize("name", CONTRACT)
def test_everything_is_explained(host: Host, name: str) -> None:
    info = info_of(host, name)
    assert info["name"] == name
    assert info["category"] == "RelationAdapter"
    assert info["display_name"] not in ("", None, name)
    assert info["description"].endswith(".")
    assert "relation adapter" in info["search_aliases"] and len(info["search_aliases"]) >= 3
    assert bool(info.get("experimental")) == (name in EXPERIMENTAL)
    assert not info.get("deprecated") and not info.get("dev_only")
    for key, (_, options, _) in inputs_of(info).items():
        assert len(options.get("tooltip", "")) > 10 and options["tooltip"].endswith("."), key
    tooltips = info.get("output_tooltips") or []
    assert len(tooltips) == len(info["output"])
    assert all(tooltip and tooltip.endswith(".") for tooltip in tooltips)


def test_names_are_unique(host: Host) -> None:
    names = [info_of(host, name)["display_name"] for name in CONTRACT]
    assert len(set(names)) == len(names)
    for name in CONTRACT:
        schema = host.node_classes[name].GET_SCHEMA()
        ids = [part.id for part in (*schema.inputs, *schema.outputs)]
        for part in (schema.inputs, schema.outputs):
            assert len({item.id for item in part}) == len(part), ids
