"""What coming hosts do around attention, as a stand-in around the attention of the host that is here.

There, Flux's blocks hand q, k and v over in containers, whose tensors attention may use up, and name the attention that
the model prefers. A block may also be captured in a CUDA graph, which replays it without calling any hook.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from edits import Edit, relative_error
from tuning_gradients import gradient_of, predicting

from comfyui_host.host import GraphError, Host

Attention = Callable[..., torch.Tensor]


class Container:
    """A tensor with one owner: who takes it may change it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor: torch.Tensor | None = tensor

    def take(self) -> torch.Tensor:
        tensor, self.tensor = self.tensor, None
        assert tensor is not None, "taken twice"
        return tensor


class ComingHost:
    """Wraps the host's attention as coming hosts do, and counts what the model's preferred one computes."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        from comfy.ldm.flux import layers
        from comfy.ldm.flux.math import apply_rope
        from comfy.ldm.modules.attention import optimized_attention

        self.calls = 0
        self._real: Attention = optimized_attention
        outer = self.wrapped(optimized_attention)

        def attention(
            q: torch.Tensor,
            k: torch.Tensor,
            v: torch.Tensor,
            pe: Any,
            mask: Any = None,
            transformer_options: Any = None,
            **kwargs: Any,
        ) -> torch.Tensor:
            if pe is not None:
                rotated = apply_rope(q, k, pe)
                if not torch.is_grad_enabled():  # as by a kernel that rotates in place, where no gradient is wanted
                    q.fill_(float("nan"))
                    k.fill_(float("nan"))
                q, k = rotated
            return outer(
                *map(Container, (q, k, v)),
                q.shape[1],
                mask=mask,
                skip_reshape=True,
                transformer_options=transformer_options,
                preferred_attention=self.preferred,
                **kwargs,
            )

        monkeypatch.setattr(layers, "attention", attention)
        for name, module in (
            ("optimized_attention", "nodes.host_attention"),
            ("optimized_attention_masked", "nodes.host_attention"),
            ("attention_pytorch", "nodes.host_attention"),
            ("attention_pytorch", "nodes.tuning_patch"),
        ):
            ours = host.module(module)
            monkeypatch.setattr(ours, name, self.wrapped(getattr(ours, name)))

    def preferred(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """A kernel without a gradient that uses its inputs up."""
        self.calls += 1
        with torch.no_grad():
            result = self._real(q, k, v, *args, **kwargs)
            for used in (q, k, v):
                used.detach().fill_(float("nan"))
        return result

    def wrapped(self, function: Attention) -> Attention:
        """An attention function as coming hosts wrap it."""

        def wrapper(*args: Any, **kwargs: Any) -> torch.Tensor:
            preferred = kwargs.pop("preferred_attention", None)
            options, inside = kwargs.get("transformer_options") or {}, kwargs.get("_inside_attn_wrapper")
            if isinstance(args[0], Container):
                args = (*(container.take() for container in args[:3]), *args[3:])
            override = options.get("optimized_attention_override")
            if override is not None and not inside:
                kwargs["_inside_attn_wrapper"] = True
                return override(wrapper, *args, preferred_attention=preferred, **kwargs)
            return (preferred or function)(*args, **kwargs)

        return wrapper


def sampled(host: Host, refresh_every: int) -> torch.Tensor:
    edit = Edit(host)
    model = edit.apply(edit.model(), edit.relation())
    model = edit.graph.add("RelationSourceReuse", model=model, refresh_every=refresh_every)
    return edit.run(edit.sample(model, edit.with_source(edit.text())))


@pytest.mark.parametrize("refresh_every", [1, 2])
def test_an_edit_is_the_same(host: Host, monkeypatch: pytest.MonkeyPatch, refresh_every: int) -> None:
    """And so is one that reuses what blocks kept of the source, though attention used its inputs up."""
    expected = sampled(host, refresh_every)
    coming = ComingHost(host, monkeypatch)
    assert torch.equal(sampled(host, refresh_every), expected)
    assert coming.calls > 0


def test_a_relation_is_learned_through_an_attention_with_gradients(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = Edit(host)
    relation, source = edit.run(edit.relation()), edit.tensors["source_latent"]
    found = []
    for coming in (False, True):
        if coming:
            ComingHost(host, monkeypatch)
        with predicting(edit, edit.model(), edit.text(), source) as predict:
            found.append(gradient_of(edit, predict, relation)[1])
    assert max(relative_error(one, two) for one, two in zip(*found, strict=True)) < 1e-6


@pytest.mark.parametrize("node", ["ApplyRelationAdapter", "RelationSourceReuse"])
def test_a_captured_block_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    """A replay would repeat what one step decided. No GPU is needed to see that the hooks refuse."""
    edit = Edit(host)
    model = edit.model()
    if node == "ApplyRelationAdapter":
        model = edit.apply(model, edit.relation())
    else:
        model = edit.graph.add(node, model=model, refresh_every=2)
    text = edit.with_source(edit.text())
    monkeypatch.setattr(host.module("nodes.capture"), "captures", lambda query: query.ndim == 4)
    with pytest.raises(GraphError, match=r"CUDA graph.*--disable-cuda-graphs"):
        edit.run(edit.sample(model, text))
