"""The loss, and which weights it reaches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from flow_inputs import inputs
from small_run import SmallRun

from relation_core.randomness import generator_of
from relation_tools.diffusers_host.sampling import pack
from relation_tools.training.flow import RelationFlow, draw_times
from relation_tools.training.models import build_flow
from relation_tools.training.settings import AdapterSettings, NewTransformer, RunSettings


def settings_of(small_run: SmallRun, **training: Any) -> RunSettings:
    return small_run.into(small_run.folder / "unused", **training)


def shaken(flow: RelationFlow) -> RelationFlow:
    """Give every weight that starts at zero a value, as after some steps."""
    generator = generator_of(11)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    return flow


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("trained", ["adapter", "adapter and lora", "everything"])
def test_gradients_reach_what_is_trained_and_nothing_else(
    small_run: SmallRun, trained: str, checkpointing: bool
) -> None:
    flow = shaken(build_flow(settings_of(small_run, trained=trained, gradient_checkpointing=checkpointing), 16))
    names = set(flow.trained())
    groups = {name.split(".")[0] for name in names}
    assert groups == ({"adapter"} if trained == "adapter" else {"adapter", "transformer"})
    assert all(name.startswith("adapter.") for name, _ in flow.adapter.named_parameters(prefix="adapter"))
    assert {name for name in names if name.startswith("adapter.")} == {
        name for name, _ in flow.adapter.named_parameters(prefix="adapter")
    }
    in_transformer = {name for name in names if name.startswith("transformer.")}
    if trained == "adapter and lora":
        assert in_transformer and all(".lora_A." in name or ".lora_B." in name for name in in_transformer)
        assert len(in_transformer) == 2 * (6 + 3)
    flow(**inputs(flow)).backward()
    reached = {name for name, parameter in flow.named_parameters() if parameter.grad is not None}
    assert reached == names
    still = [name for name, parameter in flow.trained().items() if not parameter.grad.any()]  # type: ignore[union-attr]
    # Text of zeros says nothing to the first layers that read it, but for their biases.
    assert set(still) <= {
        "transformer.context_embedder.weight",
        "transformer.time_text_embed.text_embedder.linear_1.weight",
    }


def test_the_loss_is_the_error_of_the_targets_velocity(small_run: SmallRun) -> None:
    flow = shaken(build_flow(settings_of(small_run), 16))
    given = inputs(flow)
    seen: dict[str, Any] = {}

    def transformer(**arguments: Any) -> tuple[torch.Tensor]:
        seen.update(arguments)
        return (torch.cat((torch.zeros(2, 4, 64), torch.full((2, 4, 64), 7.0)), dim=1),)  # target, source

    transformer.config, transformer.dtype = flow.transformer.config, torch.float32  # type: ignore[attr-defined]
    flow.transformer = None
    object.__setattr__(flow, "transformer", transformer)
    loss = flow(**given)
    torch.testing.assert_close(loss, (given["noise"] - given["target"]).square().mean())
    times = given["times"].view(2, 1, 1)
    mixed = (1 - times) * pack(given["target"]) + times * pack(given["noise"])
    torch.testing.assert_close(seen["hidden_states"][:, :4], mixed)
    torch.testing.assert_close(seen["hidden_states"][:, 4:], pack(given["source"]), rtol=0, atol=0)
    assert torch.equal(seen["img_ids"][:4], seen["img_ids"][4:])
    assert torch.equal(seen["timestep"], given["times"])
    assert seen["guidance"].tolist() == [3.5, 3.5]


def test_a_whole_new_flux_starts_by_predicting_nothing(small_run: SmallRun) -> None:
    flow = build_flow(settings_of(small_run), 16)
    given = inputs(flow)
    torch.testing.assert_close(flow(**given), (given["noise"] - given["target"]).square().mean())


def test_a_frozen_flux_starts_as_it_is(small_run: SmallRun) -> None:
    flow = build_flow(settings_of(small_run, trained="adapter and lora"), 16)
    flow.transformer.proj_out.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    for block in flow.transformer.single_transformer_blocks:
        block.norm.linear.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    given = inputs(flow)
    loss = flow(**given)
    other = flow(**{**given, "pooled": 2 * given["pooled"]})
    assert torch.equal(loss, other)
    flow.adapter.blocks()[1].to_v_ip.weight.data.normal_(generator=torch.Generator().manual_seed(2))
    assert not torch.equal(flow(**given), loss)


def test_times_lie_where_they_should() -> None:
    power, normal = (draw_times(20_000, times, generator_of(0)) for times in ("power", "logit-normal"))
    for times in (power, normal):
        assert times.min() > 0.0 and times.max() <= 1.0
    assert power.min() < 0.06
    torch.testing.assert_close(power.median(), torch.tensor(1 - 0.95 * 0.5**2.5), rtol=0, atol=0.01)
    torch.testing.assert_close(normal.median(), torch.tensor(0.5), rtol=0, atol=0.01)
    torch.testing.assert_close(normal.logit().std(), torch.tensor(1.0), rtol=0, atol=0.03)


@pytest.mark.slow
def test_a_step_of_real_size(small_run: SmallRun) -> None:
    """FLUX.1-dev's widths and the authors' LoRA, in one block of each kind, at 512 pixels.

    All 128 exemplar tokens would take 20 GB for one matrix, its gradient and its moments; 8 take 1.
    """
    settings = replace(
        settings_of(
            small_run, trained="adapter and lora", precision="bf16", gradient_checkpointing=True, lora_rank=128
        ),
        adapter=AdapterSettings(tokens=8),
        models=replace(
            small_run.settings.models, new_transformer=NewTransformer(24, 1, 1, text_dim=4096, pooled_text_dim=768)
        ),
    )
    flow = build_flow(settings, 1152)
    with torch.no_grad():  # a new Flux starts with gates of zero, which let nothing through
        for parameter in flow.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    frozen = {name: p.detach().clone() for name, p in flow.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.AdamW(flow.trained().values(), 1e-4)
    before = {name: parameter.detach().clone() for name, parameter in flow.trained().items()}
    given = {**inputs(flow, batch=1, side=64), "text": torch.randn(1, 512, 4096)}
    with torch.autocast("cpu", torch.bfloat16):
        loss = flow(**given)
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in flow.trained().values())
    assert all(parameter.grad is None for name, parameter in flow.named_parameters() if name in frozen)
    optimizer.step()
    assert all(not torch.equal(before[name], parameter) for name, parameter in flow.trained().items())
    assert all(torch.equal(frozen[name], p) for name, p in flow.named_parameters() if name in frozen)
