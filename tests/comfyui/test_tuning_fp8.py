"""Tune Relation through weights in fp8: gradients and steps are those of a model of the same values in float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from edits import GOLDEN, Edit, relative_error
from golden_tuning import MODEL, GoldenTuning
from safetensors.torch import load_file, save_file
from tuning_gradients import gradient_of, predicting

from comfyui_host.host import Host

FP8 = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}


def rounded(host: Host, dtype: str) -> str:
    """Write the golden Flux with the values that fp8 has, in float32."""
    name = f"rounded_{dtype}.safetensors"
    tensors = {key: tensor.to(FP8[dtype]).float() for key, tensor in load_file(GOLDEN / MODEL).items()}
    save_file(tensors, host.model_folder("diffusion_models") / name)
    return name


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dtype", FP8)
def test_gradients_flow_through_weights_in_fp8(
    host: Host, monkeypatch: pytest.MonkeyPatch, dtype: str, large: bool
) -> None:
    """Held, and computed again by block."""
    monkeypatch.setattr(host.module("nodes.tuning_patch"), "_LARGE", 1 if large else 10**12)
    edit = Edit(host)
    relation, source = edit.run(edit.relation()), edit.tensors["source_latent"]
    models = (edit.model(MODEL, dtype), edit.model(rounded(host, dtype)), edit.model(MODEL))
    found: list[tuple[float, list[torch.Tensor]]] = []
    for model in models:
        with predicting(edit, model, edit.text(), source) as predict:
            found.append(gradient_of(edit, predict, relation))
    (loss, gradient), (same_loss, same), (_, exact) = found
    assert loss == pytest.approx(same_loss, rel=1e-6)
    assert all(float(part.abs().max()) > 0 for part in gradient)
    for one, two, other in zip(gradient, same, exact, strict=True):
        assert relative_error(one, two) < 1e-5 < relative_error(one, other)


def test_the_node_learns_what_the_same_values_in_float32_teach(host: Host) -> None:
    tuning = GoldenTuning(host, 2)
    models: list[Any] = [tuning.model(MODEL, "fp8_e4m3fn"), tuning.model(rounded(host, "fp8_e4m3fn"))]
    found, expected, plain = (
        tuning.run(tuning.tuned(model=model, steps=4)).tokens for model in (*models, tuning.model(MODEL))
    )
    start = tuning.run(tuning.tuned(model=models[0], steps=1, learning_rate=0.0001)).tokens
    assert relative_error(found - start, expected - start) < 0.02 < relative_error(plain - start, found - start)
