"""Half precision takes no more from the edit than from the model without it."""

from __future__ import annotations

import pytest
import torch
from edits import Edit, relative_error

from comfyui_host.host import Host

SEEDS = range(4)


def results(host: Host, case: str, dtype: str, relation: bool) -> torch.Tensor:
    edit = Edit(host, case)
    model = edit.graph.add("ModelComputeDtype", model=edit.model(), dtype=dtype)
    if relation:
        model = edit.apply(model, edit.relation())
    text = edit.with_source(edit.text())
    return torch.stack(edit.run(*[edit.sample(model, text, noise=edit.noise(seed)) for seed in SEEDS]))


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


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_relation_follows_the_compute_dtype(host: Host, order: str) -> None:
    """Keys and values are cast once where the dtype is known, and follow the query where it is set later."""
    edit = Edit(host)
    model = edit.model()
    if order == "before":
        model = edit.graph.add("ModelComputeDtype", model=model, dtype="bf16")
    model = edit.apply(model, edit.relation())
    if order == "after":
        model = edit.graph.add("ModelComputeDtype", model=model, dtype="bf16")
    text = edit.with_source(edit.text())
    exact = edit.sample(edit.apply(edit.model(), edit.relation()), text)
    result, expected, patched = edit.run(edit.sample(model, text), exact, model)
    (patch,) = patched.model_options["transformer_options"]["patches"]["attn1_patch"]
    assert patch.resident.keys.dtype == (torch.bfloat16 if order == "before" else torch.float32)
    print(f"{order}: {relative_error(result, expected):.2e}")
    assert 0 < relative_error(result, expected) < 0.02
