"""Half precision takes no more from the edit than from the model without it."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from edits import POSITIONS_ONLY, Edit

from comfyui_host.graph import Node
from comfyui_host.host import Host

SEEDS, STEPS = range(4), 3


@cache
def results(host: Host, case: str, dtype: str, relation: bool) -> torch.Tensor:
    edit = Edit(host, case)
    model = edit.graph.add("ModelComputeDtype", model=edit.model(), dtype=dtype)
    if relation:
        model = edit.apply(model, edit.relation())
    text = edit.with_source(edit.text())
    return torch.stack(edit.run(*[edit.sample(model, text, noise=edit.noise(seed), steps=STEPS) for seed in SEEDS]))


@pytest.mark.parametrize("case", ["one_head", "two_heads"])
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision(host: Host, case: str, dtype: str) -> None:
    distance = {}
    for relation in (True, False):
        half, exact = results(host, case, dtype, relation), results(host, case, "fp32", relation)
        assert half.isfinite().all()
        distance[relation] = float((half - exact).norm() / exact.norm())
    print(f"{case} {dtype}: {distance[True]:.2e} with the relation, {distance[False]:.2e} without")
    assert 0 < distance[True] <= 1.5 * distance[False]


def test_the_relation_follows_the_compute_dtype(host: Host) -> None:
    """Keys and values are cast once where the dtype is known; where it is set later they follow the query."""
    edit = Edit(host)
    relation, text = edit.relation(), edit.with_source(edit.text())

    def halved(model: Node) -> Node:
        return edit.graph.add("ModelComputeDtype", model=model, dtype="bf16")

    before, after = edit.apply(halved(edit.model()), relation), halved(edit.apply(edit.model(), relation))
    still = edit.apply(halved(edit.model()), relation, **POSITIONS_ONLY)
    first, second, without = edit.run(*[edit.sample(model, text) for model in (before, after, still)])
    assert torch.equal(first, second)
    assert not torch.equal(first, without)
    for model, dtype in ((before, torch.bfloat16), (after, torch.float32)):
        (patch,) = edit.run(model).model_options["transformer_options"]["patches"]["attn1_patch"]
        assert patch.resident.keys.dtype == dtype
