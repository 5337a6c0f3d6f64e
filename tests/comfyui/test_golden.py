"""The authors' edit, computed by the nodes in a real ComfyUI from the picture files on."""

from __future__ import annotations

import pytest
from edits import CASES, SCALE, SHIFT, Edit, relative_error

from comfyui_host.graph import Node
from comfyui_host.host import Host

BOUND = 1e-5


@pytest.fixture(params=CASES)
def edit(request: pytest.FixtureRequest, host: Host) -> Edit:
    return Edit(host, request.param)


def authors_edit(edit: Edit, **sampling: object) -> Node:
    model = edit.apply(edit.model(), edit.relation())
    return edit.sample(model, edit.with_source(edit.text()), **sampling)


def test_relation_tokens(edit: Edit) -> None:
    relation = edit.run(edit.relation())
    assert relative_error(relation.tokens, edit.tensors["tokens"].flatten(0, 1)[None]) < BOUND


def test_final_latent(edit: Edit) -> None:
    result = edit.run(authors_edit(edit))
    assert relative_error((result - SHIFT) * SCALE, edit.tensors["final"]) < BOUND


def test_first_prediction(edit: Edit) -> None:
    schedule = edit.graph.add("RelationScheduler", steps=edit.meta["steps"], latent=edit.latent(), denoise=1.0)
    result = edit.run(authors_edit(edit, sigmas=edit.graph.add("SplitSigmas", sigmas=schedule, step=1)))
    sigmas = edit.tensors["sigmas"]
    # A sampler that stops early hands on x / (1 - sigma): the host's inverse noise scaling.
    latent = (result - SHIFT) * SCALE * (1 - sigmas[1])
    # One Euler step: x1 = x0 + (sigma1 - sigma0) * prediction.
    prediction = (latent - edit.tensors["latent_0"]) / (sigmas[1] - sigmas[0])
    assert relative_error(prediction, edit.tensors["first_pred"]) < BOUND
