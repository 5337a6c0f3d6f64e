"""No text, in the widths of the model at hand."""

from __future__ import annotations

import torch
from edits import Edit, relative_error
from flux_models import write_flux

from comfyui_host.host import Host


def test_zeros_in_the_models_own_widths(host: Host) -> None:
    edit = Edit(host)
    name = write_flux(host, "other_widths.safetensors", context_in_dim=48, vec_in_dim=24)
    for model, widths in ((edit.model(), (32, 16)), (edit.model(name), (48, 24))):
        ((text, values),) = edit.run(edit.graph.add("RelationEmptyPrompt", model=model))
        assert text.shape == (1, 1, widths[0]) and values["pooled_output"].shape == (1, widths[1])
        assert not text.any() and not values["pooled_output"].any()


def test_it_is_sampled_like_any_prompt(host: Host) -> None:
    edit = Edit(host)
    model = edit.model()
    empty = edit.graph.add("RelationEmptyPrompt", model=model)
    by_hand = edit.value([[torch.zeros(1, 1, 32), {"pooled_output": torch.zeros(1, 16), "guidance": 2.0}]])
    patched = edit.apply(model, edit.relation())
    results = []
    for guidance in (2.0, 5.0):
        guided = edit.graph.add("FluxGuidance", conditioning=empty, guidance=guidance)
        results.append(edit.run(edit.sample(patched, edit.with_source(guided), steps=2)))
    assert torch.equal(results[0], edit.run(edit.sample(patched, edit.with_source(by_hand), steps=2)))
    assert relative_error(results[1], results[0]) > 1e-4
