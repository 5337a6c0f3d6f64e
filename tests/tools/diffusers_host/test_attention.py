"""Relation attention inside diffusers' Flux."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from golden_case import GoldenCase
from random_weights import relative_error

from relation_core.relation.relation import Relation, join_relations
from relation_tools.diffusers_host.attention import ExemplarAttention, add_relation_attention

BOUND = 1e-5


def attention_of(case: GoldenCase, strength: float = 1.0, relation: Relation | None = None) -> ExemplarAttention:
    """The exemplars at a share of the authors' strength."""
    scaled = strength * case.meta["scale"]
    exemplars = ExemplarAttention.of_relation(relation or case.relation(), "cpu", torch.float32, scaled, scaled)
    assert exemplars is not None
    return exemplars


def predict(transformer: torch.nn.Module, call: dict[str, torch.Tensor], relation: object) -> torch.Tensor:
    with torch.no_grad():
        return transformer(**call, joint_attention_kwargs={"relation": relation}).sample


def batch_of_two(call: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value if name.endswith("_ids") else torch.cat([value, 0.9 * value]) for name, value in call.items()}


def test_the_first_prediction_of_every_token(case: GoldenCase) -> None:
    transformer = case.transformer()
    add_relation_attention(transformer)
    found = predict(transformer, case.first_call(), attention_of(case))
    assert relative_error(found, case.tensors["first_pred_all"]) < BOUND


def test_without_a_relation_the_model_is_diffusers_own(case: GoldenCase) -> None:
    transformer, call = case.transformer(), case.first_call()
    with torch.no_grad():
        expected = transformer(**call).sample
    add_relation_attention(transformer)
    assert torch.equal(predict(transformer, call, None), expected)
    nothing = torch.full_like(attention_of(case).values, torch.nan)  # and it is not even computed
    still = replace(attention_of(case), values=nothing, double_strength=0.0, single_strength=0.0)
    assert torch.equal(predict(transformer, call, still), expected)
    assert ExemplarAttention.of_relation(case.relation(), "cpu", torch.float32, 0.0, 0.0) is None


@pytest.mark.parametrize(("double", "single"), [(1.0, 0.0), (0.0, 1.0), (-0.5, 2.0)])
def test_strengths_of_both_kinds_of_blocks(case: GoldenCase, double: float, single: float) -> None:
    transformer, call = case.transformer(), case.first_call()
    add_relation_attention(transformer)
    exemplars = replace(attention_of(case), double_strength=1.0, single_strength=1.0)
    found = predict(transformer, call, replace(exemplars, double_strength=double, single_strength=single))
    factors = [double] * case.meta["double"] + [single] * case.meta["single"]
    scaled = [factor * values for factor, values in zip(factors, exemplars.values, strict=True)]
    assert relative_error(found, predict(transformer, call, replace(exemplars, values=scaled))) < BOUND
    assert relative_error(found, predict(transformer, call, exemplars)) > 1e-3


def test_every_sample_of_a_batch_may_have_its_own_exemplars(case: GoldenCase) -> None:
    transformer = case.transformer()
    add_relation_attention(transformer)
    call, first = batch_of_two(case.first_call()), attention_of(case)
    second = replace(first, keys=first.keys.flip(0), values=first.values.flip(0))
    bias = torch.linspace(-1, 1, first.keys.shape[2])
    strengths = torch.tensor([1.0, 0.5]).view(2, 1, 1)
    both = ExemplarAttention(
        list(torch.stack([first.keys, second.keys], dim=1)),
        list(torch.stack([first.values, second.values], dim=1)),
        torch.stack([bias, -bias]),
        strengths,
        strengths,
    )
    found = predict(transformer, call, both)
    for row, alone in enumerate([replace(first, bias=bias), replace(second, bias=-bias)]):
        strength = float(strengths[row])
        expected = predict(transformer, call, replace(alone, double_strength=strength, single_strength=strength))
        assert relative_error(found[row], expected[row]) < BOUND


def test_weights_of_pairs_reach_the_logits(case: GoldenCase) -> None:
    transformer, call = case.transformer(), case.first_call()
    add_relation_attention(transformer)
    one, twin = case.relation(), replace(case.relation(), pair_weights=(3.0,))
    other = replace(one, keys_values=replace(one.keys_values, values=-one.keys_values.values))
    # The same pair twice is that pair, however it is weighed; 3 parts against 1 of its opposite are half of it.
    same = attention_of(case, relation=join_relations([one, twin]))
    half = attention_of(case, relation=join_relations([twin, other]))
    assert same.bias is not None
    assert relative_error(predict(transformer, call, same), case.tensors["first_pred_all"]) < BOUND
    expected = predict(transformer, call, attention_of(case, 0.5))
    assert relative_error(predict(transformer, call, half), expected) < BOUND


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_keys_and_values_of_every_block(case: GoldenCase, checkpointing: bool) -> None:
    transformer = case.transformer().train()
    add_relation_attention(transformer)
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    given = attention_of(case)
    keys = [key[None].clone().requires_grad_() for key in given.keys]
    values = [value[None].clone().requires_grad_() for value in given.values]
    prediction = transformer(
        **case.first_call(), joint_attention_kwargs={"relation": ExemplarAttention(keys, values)}
    ).sample
    prediction.square().sum().backward()
    assert all(leaf.grad is not None and float(leaf.grad.norm()) > 0 for leaf in [*keys, *values])


def test_projections_may_be_fused(case: GoldenCase) -> None:
    transformer = case.transformer()
    for name, module in transformer.named_modules():
        if name.endswith(".attn"):
            module.fuse_projections()
    add_relation_attention(transformer)
    found = predict(transformer, case.first_call(), attention_of(case))
    assert relative_error(found, case.tensors["first_pred_all"]) < BOUND
