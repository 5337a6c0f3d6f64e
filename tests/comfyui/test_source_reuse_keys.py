"""Reuse of the source puts the right keys back, in every composition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compositions import encoded, patched
from edits import Edit, relative_error
from flux_models import write_controlnet
from reuse_oracle import PICTURE, Spans, expected, reused, tokens_of

from comfyui_host.graph import Node
from comfyui_host.host import Host

BOUND = 1e-5


def check(
    edit: Edit, model: Node, text: Any, spans: Spans = ((PICTURE, 2 * PICTURE),), every: int = 3, **sampling: Any
) -> None:
    """Reuse is what it should be, and is at work."""
    exact, found, right = edit.run(
        edit.sample(model, text, steps=7, **sampling),
        edit.sample(reused(edit, model, every), text, steps=7, **sampling),
        edit.sample(expected(edit, model, every, spans), text, steps=7, **sampling),
    )
    assert relative_error(found, right) < BOUND
    assert relative_error(found, exact) > 10 * BOUND


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m"])
@pytest.mark.parametrize("case", ["one_head", "two_heads"])
def test_samplers(host: Host, case: str, sampler: str) -> None:
    edit = Edit(host, case)
    tokens = edit.noise()[0, 0].numel() // 4
    check(edit, patched(edit), edit.with_source(edit.text()), ((tokens, 2 * tokens),), sampler=sampler)


@pytest.mark.parametrize("reuse_first", [True, False])
def test_the_nodes_order_makes_no_difference(edit: Edit, reuse_first: bool) -> None:
    text, relation = edit.with_source(edit.text()), edit.relation()
    model = edit.apply(reused(edit, edit.model(), 3), relation) if reuse_first else reused(edit, patched(edit), 3)
    found, right = edit.run(edit.sample(model, text), edit.sample(expected(edit, patched(edit), 3), text))
    assert relative_error(found, right) < BOUND


def test_without_a_relation(edit: Edit) -> None:
    check(edit, edit.model(), edit.with_source(edit.text()))


def test_a_batch_of_sources(edit: Edit) -> None:
    text = edit.with_source(edit.text(), edit.noise(4, 3, (8, 12)))
    check(edit, patched(edit), text, noise=edit.noise(5, 3))


@pytest.mark.parametrize("negative", ["batched", "apart", "without a source"])
def test_classifier_free_guidance(edit: Edit, negative: str) -> None:
    text, model = edit.with_source(edit.text()), patched(edit)
    other = edit.text(1) if negative == "without a source" else edit.with_source(edit.text(1))
    if negative == "apart":
        other = edit.with_source(edit.value(_longer(edit.run(edit.text(1)))))  # other lengths of text are not batched
    guiders = [
        edit.graph.add("CFGGuider", model=given, positive=text, negative=other, cfg=3.0)
        for given in (model, reused(edit, model, 3), expected(edit, model, 3))
    ]
    exact, found, right = edit.run(*[edit.sample(None, guider=guider) for guider in guiders])
    assert relative_error(found, right) < BOUND
    assert relative_error(found, exact) > 10 * BOUND


def _longer(text: Any) -> Any:
    return [[torch.cat((tokens, tokens[:, :3]), 1), values] for tokens, values in text]


@pytest.mark.parametrize("ours_first", [True, False])
def test_only_our_source_is_reused_among_references(edit: Edit, ours_first: bool) -> None:
    reference = torch.rand(1, 16, 6, 8, generator=torch.Generator().manual_seed(0))
    text = edit.text() if ours_first else edit.with_source(edit.text(), reference)
    text = encoded(edit, edit.picture("source"), text)[0]
    text = edit.with_source(text, reference) if ours_first else text
    span = (PICTURE, 2 * PICTURE) if ours_first else (PICTURE + 12, 2 * PICTURE + 12)
    check(edit, patched(edit), text, (span,))
    assert set(tokens_of(edit, reused(edit, patched(edit)), text)) == {2 * PICTURE + 12, PICTURE + 12}


def test_a_source_of_another_size(edit: Edit) -> None:
    check(edit, patched(edit), edit.with_source(edit.text(), edit.noise(3, 1, (5, 4))), ((PICTURE, PICTURE + 6),))


@pytest.mark.parametrize("masks", [1, 2])
def test_a_mask_of_the_relation(edit: Edit, masks: int) -> None:
    mask = torch.rand(masks, 64, 96, generator=torch.Generator().manual_seed(0))
    text = edit.with_source(edit.text(), edit.noise(4, 2, (8, 12)))
    check(edit, patched(edit, mask=edit.value(mask)), text, noise=edit.noise(5, 2))


def test_two_relations_in_a_row(edit: Edit) -> None:
    mask = edit.value(torch.rand(1, 64, 96, generator=torch.Generator().manual_seed(0)))
    check(edit, edit.apply(patched(edit, mask=mask), edit.relation(weight=0.5)), edit.with_source(edit.text()))


def test_areas(edit: Edit) -> None:
    """Every area is a picture of its own to the model."""
    text = edit.with_source(edit.text(), edit.noise(3, 1, (4, 6)))
    areas = [
        edit.graph.add("ConditioningSetArea", conditioning=text, width=64, height=64, x=x, y=0, strength=1.0)
        for x in (0, 32)
    ]
    both = edit.graph.add("ConditioningCombine", conditioning_1=areas[0], conditioning_2=areas[1])
    check(edit, patched(edit), both, ((16, 22),))


def test_timestep_ranges(edit: Edit) -> None:
    """A prompt that comes in later computes its own source first."""
    parts = [
        edit.graph.add("ConditioningSetTimestepRange", conditioning=edit.with_source(text), start=start, end=end)
        for text, start, end in ((edit.text(), 0.0, 0.5), (edit.text(1), 0.5, 1.0))
    ]
    both = edit.graph.add("ConditioningCombine", conditioning_1=parts[0], conditioning_2=parts[1])
    check(edit, patched(edit), both)


def test_a_controlnet(edit: Edit) -> None:
    controlled = edit.graph.add(
        "ControlNetApplyAdvanced",
        positive=edit.with_source(edit.text()),
        negative=edit.text(1),
        control_net=edit.graph.add(
            "ControlNetLoader", control_net_name=write_controlnet(edit.host, "reuse.safetensors")
        ),
        image=edit.picture("source"),
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
        vae=edit.graph.add("VAELoader", vae_name="small.safetensors"),
    )
    check(edit, patched(edit), controlled)


def test_normalised_attention_guidance(edit: Edit) -> None:
    model = edit.graph.add("NAGuidance", model=patched(edit), nag_scale=3.0, nag_alpha=0.5, nag_tau=1.5)
    check(edit, model, edit.with_source(edit.text()))


def test_partial_loading(edit: Edit) -> None:
    """Weights that stay offloaded are cast when used; what is kept does not depend on where they are."""
    text, whole = edit.with_source(edit.text()), reused(edit, patched(edit))
    exact = edit.run(edit.sample(whole, text))
    model = edit.run(reused(edit, patched(edit)))
    model.unpatch_model()
    model.load(torch.device("cpu"), lowvram_model_memory=100_000)
    assert model.model.model_lowvram
    found = edit.run(edit.sample(edit.value(model), text))
    model.unpatch_model()
    assert relative_error(found, exact) < BOUND


@pytest.mark.slow
def test_torch_compile(edit: Edit) -> None:
    model, text = reused(edit, patched(edit)), edit.with_source(edit.text())
    compiled = edit.graph.add("TorchCompileModel", model=model, backend="inductor")
    found, right = edit.run(edit.sample(compiled, text, steps=6), edit.sample(model, text, steps=6))
    assert relative_error(found, right) < 1e-4
