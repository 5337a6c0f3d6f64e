"""Latents, prompts, masks and pictures that cannot be sampled are refused before anything is sampled."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from edits import Edit
from refusals import message_of

from comfyui_host.graph import Node
from comfyui_host.host import GraphError

NAN = math.nan


def sampled(edit: Edit, conditioning: Any = None, *, mask: Any = None, samples: Any = None, **latent: Any) -> Node:
    """The authors' edit, one step of it, through the core's own KSampler."""
    masked = {} if mask is None else {"mask": edit.value(mask)}
    samples = torch.zeros(1, 16, 8, 12) if samples is None else samples
    positive = conditioning or edit.with_source(edit.text())
    return edit.graph.add(
        "KSampler",
        model=edit.apply(edit.model(), edit.relation(), **masked),
        **{"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0},
        positive=positive,
        negative=positive,
        latent_image=edit.value({"samples": samples, **latent}),
    )


@pytest.mark.parametrize(
    "shape",
    [(1, 4, 8, 12), (2, 128, 4, 6), (1, 16, 1, 8, 12), (1, 16, 3, 8, 12), (16, 8, 12), (0, 16, 8, 12), (1, 16, 0, 4)],
)
def test_latents_of_other_models_are_refused(edit: Edit, shape: tuple[int, ...]) -> None:
    message = message_of(edit, sampled(edit, samples=torch.rand(shape)), "SamplingInputError")
    assert message.startswith(f"The latent has the shape {shape}; FLUX.1 expects (batch, 16, height, width)")
    assert "Connect the latent of Encode Relation Source" in message


@pytest.mark.parametrize(
    "shape", [(1, 4, 8, 12), (1, 16, 1, 8, 12), (1, 128, 4, 6), (0, 16, 8, 12), (16, 8, 12), (1, 16, 8, 0)]
)
def test_references_of_other_models_are_refused(edit: Edit, shape: tuple[int, ...]) -> None:
    message = message_of(edit, sampled(edit, edit.with_source(edit.text(), torch.rand(shape))), "SamplingInputError")
    assert f"The reference latent of the positive conditioning has the shape {shape}; FLUX.1 expects" in message


@pytest.mark.parametrize("shape", [(16, 8), (1, 16, 1, 8, 12), (1, 16, 0, 4)])
def test_the_schedule_is_not_made_for_what_is_no_picture(edit: Edit, shape: tuple[int, ...]) -> None:
    latent = edit.value({"samples": torch.zeros(shape)})
    schedule = edit.graph.add("RelationScheduler", steps=2, latent=latent, denoise=1.0)
    assert f"The latent has the shape {shape}" in message_of(edit, schedule, "SamplingInputError")


@pytest.mark.parametrize("value", [NAN, math.inf])
@pytest.mark.parametrize("where", ["latent", "noise mask"])
def test_latents_that_are_not_of_numbers_are_refused(edit: Edit, where: str, value: float) -> None:
    broken = {"samples": torch.rand(2, 16, 8, 12), "noise_mask": torch.rand(2, 1, 64, 96)}
    part = broken["samples" if where == "latent" else "noise_mask"]
    part[1, 0, 3, 4] = value
    message = message_of(edit, sampled(edit, edit.text(), **broken), "SamplingInputError")
    assert message.startswith(f"The {where} of this run has NaN or infinite values; expected finite values")


def prompt(edit: Edit, text: Any = None, pooled: Any = None, **values: Any) -> list[Any]:
    text = edit.tensors["text"] if text is None else text
    return [[text, {"pooled_output": edit.tensors["pooled"] if pooled is None else pooled, **values}]]


@pytest.mark.parametrize(
    ("text", "pooled", "says"),
    [
        ((1, 77, 768), (1, 16), "text of the shape (1, 77, 768); this Flux expects (batch, tokens, 32)"),
        ((1, 77, 2048), (1, 1280), "text of the shape (1, 77, 2048); this Flux expects (batch, tokens, 32)"),
        ((1, 0, 32), (1, 16), "text of the shape (1, 0, 32); this Flux expects (batch, tokens, 32)"),
        ((12, 32), (1, 16), "text of the shape (12, 32); this Flux expects (batch, tokens, 32)"),
        ((1, 12, 32), (1, 8), "pooled text of the shape (1, 8); this Flux expects (batch, 16)"),
        ((1, 12, 32), (16,), "pooled text of the shape (16,); this Flux expects (batch, 16)"),
    ],
)
def test_prompts_of_other_text_encoders_are_refused(
    edit: Edit, text: tuple[int, ...], pooled: tuple[int, ...], says: str
) -> None:
    given = edit.value(prompt(edit, torch.rand(text), torch.rand(pooled)))
    message = message_of(edit, sampled(edit, edit.with_source(given)), "SamplingInputError")
    assert message.startswith(f"The positive conditioning has {says}. Encode the prompt with FLUX.1's text encoders")


def test_an_empty_conditioning_is_refused(edit: Edit) -> None:
    """ComfyUI samples it to a grey picture."""
    message = message_of(edit, sampled(edit, edit.value([])), "SamplingInputError")
    assert message.startswith("The positive conditioning is empty; expected at least one prompt.")


@pytest.mark.parametrize(
    ("what", "broken"),
    [
        ("text", {"text": torch.full((1, 12, 32), NAN)}),
        ("pooled text", {"pooled": torch.full((1, 16), math.inf)}),
        ("guidance", {"guidance": NAN}),
        ("guidance", {"guidance": math.inf}),
        ("mask", {"mask": torch.full((1, 64, 96), NAN)}),
        ("mask strength", {"mask": torch.ones(1, 64, 96), "mask_strength": NAN}),
        ("strength", {"strength": math.inf}),
        ("reference latents", {"reference_latents": [torch.full((1, 16, 8, 12), NAN)]}),
    ],
)
def test_prompts_that_are_not_of_numbers_are_refused(edit: Edit, what: str, broken: dict[str, Any]) -> None:
    given = edit.value(prompt(edit, **broken))
    message = message_of(edit, sampled(edit, given), "SamplingInputError")
    assert message.startswith(f"The positive conditioning has NaN or infinite values in its {what}; expected finite")


@pytest.mark.parametrize("guider", ["two weights", "weight 1, computed all the same"])
def test_a_negative_prompt_that_another_guider_uses_counts(edit: Edit, guider: str) -> None:
    model, negative = edit.apply(edit.model(), edit.relation()), edit.text(1, guidance=math.nan)
    texts = {"negative": negative, "model": model}
    if guider == "two weights":
        texts |= {"cond1": edit.text(), "cond2": edit.text(2), "cfg_conds": 1.0, "cfg_cond2_negative": 2.0}
        guided = edit.graph.add("DualCFGGuider", **texts, style="regular")
    else:
        own = edit.run(model).clone()
        own.set_model_sampler_post_cfg_function(lambda args: args["denoised"], disable_cfg1_optimization=True)
        texts["model"] = edit.value(own)
        guided = edit.graph.add("CFGGuider", **texts, positive=edit.text(), cfg=1.0)
    with pytest.raises(GraphError, match=r"The negative conditioning has NaN .* in its guidance"):
        edit.run(edit.sample(None, guider=guided, steps=1))


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_negative_prompt_counts_where_it_is_used(edit: Edit, cfg: float) -> None:
    """At a guidance of 1 ComfyUI leaves it out."""
    node = sampled(edit)
    inputs = edit.graph.nodes[node.name]["inputs"]
    inputs["negative"], inputs["cfg"] = edit.value([]).link(0), cfg
    if cfg == 1.0:
        assert edit.run(node).isfinite().all()
    else:
        assert "The negative conditioning is empty" in message_of(edit, node, "SamplingInputError")


@pytest.mark.parametrize(
    "values",
    [
        {"pooled_output": None},
        {"guidance": None},
        {"attention_mask": torch.ones(1, 12)},
        {"reference_latents_method": "uxo"},
        {"pooled_output": torch.rand(1, 2048)},
    ],
)
def test_what_comfyui_takes_is_sampled(edit: Edit, values: dict[str, Any]) -> None:
    given = edit.value([[edit.tensors["text"], {"pooled_output": edit.tensors["pooled"], **values}]])
    found, plain = (
        edit.run(sampled(edit, edit.with_source(given), mask=mask))
        for mask in (torch.ones(1, 1, 64, 96, dtype=torch.bool), torch.zeros(64, 96))
    )
    assert found.isfinite().all()
    assert not torch.equal(found, plain)


def test_a_method_of_reference_latents_that_flux_1_lacks_is_refused(edit: Edit) -> None:
    """ComfyUI itself stops in the middle of FLUX.1's first block, with shapes that say nothing."""
    method = edit.graph.add(
        "FluxKontextMultiReferenceLatentMethod",
        conditioning=edit.with_source(edit.text()),
        reference_latents_method="index_timestep_zero",
    )
    message = message_of(edit, sampled(edit, method), "SamplingInputError")
    assert "The positive conditioning has reference latents by the method index_timestep_zero" in message
    assert "Edit Model Reference Method sets it" in message and "choose offset, index or uxo/uno there" in message
    node = sampled(edit)
    cached = edit.apply(edit.graph.add("FluxKVCache", model=edit.model()), edit.relation())
    edit.graph.nodes[node.name]["inputs"]["model"] = cached.link(0)
    message = message_of(edit, node, "SamplingInputError")
    assert "Flux KV Cache sets it for the model" in message and "take that node out" in message


@pytest.mark.parametrize("shape", [(1, 64, 96, 3), (64,), (0, 64, 96), (1, 0, 0)])
def test_what_is_no_mask_is_refused(edit: Edit, shape: tuple[int, ...]) -> None:
    message = message_of(edit, sampled(edit, mask=torch.zeros(shape)), "ExemplarError")
    assert message.startswith(f"Got a mask of shape {shape}; expected (batch, height, width)")


BROKEN = {
    "NaN or infinite": torch.full((1, 64, 96, 3), NAN),
    "values of torch.uint8": torch.full((1, 64, 96, 3), 128, dtype=torch.uint8),
    "most lie far out of range": torch.linspace(0, 255, 64 * 96 * 3).reshape(1, 64, 96, 3),
    "Got a picture of shape (64, 96)": torch.rand(64, 96),
    "Got a picture of shape (1, 64, 96, 5)": torch.rand(1, 64, 96, 5),
    "Got a picture of shape (0, 64, 96, 3)": torch.rand(0, 64, 96, 3),
    "Got a picture of type NoneType": None,
}


@pytest.mark.parametrize("says", BROKEN)
@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("RelationExemplarEncode", "before"),
        ("RelationExemplarEncode", "after"),
        ("RelationSourceEncode", "image"),
        ("RelationComparison", "result"),
        ("SplitImagePair", "image"),
        ("RelationKeep", "source"),
        ("RelationKeep", "result"),
    ],
)
def test_every_node_refuses_what_is_no_picture(edit: Edit, node: str, name: str, says: str) -> None:
    picture = edit.value(torch.rand(1, 64, 96, 3))
    others = {
        "RelationExemplarEncode": ("before", "after"),
        "RelationComparison": ("before", "after", "source", "result"),
        "RelationKeep": ("source", "result"),
    }
    inputs: dict[str, Any] = dict.fromkeys(others.get(node, ()), picture)
    if node == "RelationExemplarEncode":
        inputs |= {"relation_adapter": edit.adapter(), "fit": "pad", "weight": 1.0}
    elif node == "RelationSourceEncode":
        vae = edit.graph.add("VAELoader", vae_name="small.safetensors")
        inputs |= {"conditioning": edit.text(), "vae": vae, "long_side": 64}
    given = edit.graph.add(node, **{**inputs, name: edit.value(BROKEN[says])})
    assert says in message_of(edit, given, "ExemplarError")
