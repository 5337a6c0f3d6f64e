"""Samples with a relation and with source positions alone, by which a composition is judged."""

from __future__ import annotations

from typing import Any

import torch
from edits import POSITIONS_ONLY, Edit, relative_error

from comfyui_host.graph import Node

APART = 1e-3
"""Relative distance above which a relation acts."""


def patched(edit: Edit, model: Node | None = None, **settings: Any) -> Node:
    return edit.apply(model or edit.model(), edit.relation(), **settings)


def still(edit: Edit, model: Node | None = None) -> Node:
    """The same model and source positions, without what the relation adds."""
    return patched(edit, model, **POSITIONS_ONLY)


def encoded(edit: Edit, image: Node, text: Node | None = None, **settings: object) -> Node:
    """A source beside a prompt, through our node: conditioning and latent."""
    vae = edit.graph.add("VAELoader", vae_name="small.safetensors")
    settings = {"long_side": 0, "source_scale": 1.0, **settings}
    return edit.graph.add("RelationSourceEncode", conditioning=text or edit.text(), vae=vae, image=image, **settings)


def samples(edit: Edit, *models: Node, text: Any = None, **sampling: Any) -> list[torch.Tensor]:
    text = text or edit.with_source(edit.text())
    return edit.run(*[edit.sample(model, text, **sampling) for model in models])


def assert_costs_only_the_rounding(edit: Edit, rounded: Node, exact: Node) -> None:
    """Rounded weights take no more from the edit than from the model without it, and what the relation adds is kept."""
    models = (patched(edit, rounded), still(edit, rounded), patched(edit, exact), still(edit, exact))
    found, plain, expected, expected_plain = samples(edit, *models)
    assert relative_error(expected, expected_plain) > APART
    error, error_without = relative_error(found, expected), relative_error(plain, expected_plain)
    kept = relative_error(found - plain, expected - expected_plain)
    print(f"{error:.3f} with the relation, {error_without:.3f} without; {kept:.3f} of what the relation adds")
    assert 0 < error < 1.5 * error_without
    assert kept < 0.5
