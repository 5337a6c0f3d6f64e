"""Batches equal their members sampled alone."""

from __future__ import annotations

import pytest
import torch
from edits import SCALE, SHIFT, Edit, relative_error

from comfyui_host.host import Host

BOUND = 1e-5


@pytest.mark.parametrize("case", ["one_head", "two_heads"])
def test_a_batch_of_sources_equals_single_runs(host: Host, case: str) -> None:
    edit = Edit(host, case)
    noise = edit.noise(3, batch=3)
    sources = torch.cat([edit.source_latent(), edit.source_latent().flip(-1), edit.noise(5) / SCALE + SHIFT])
    model = edit.apply(edit.model(), edit.relation())
    whole = edit.sample(model, edit.with_source(edit.text(), sources), noise=noise)
    singles = [
        edit.sample(model, edit.with_source(edit.text(), sources[i : i + 1]), noise=noise[i : i + 1]) for i in range(3)
    ]
    batch, *alone = edit.run(whole, *singles)
    for i, single in enumerate(alone):
        assert relative_error(batch[i : i + 1], single) < BOUND
    assert relative_error(alone[1], alone[0]) > 0.01


def test_one_source_with_many_seeds(host: Host) -> None:
    edit = Edit(host)
    noise = edit.noise(3, batch=4)
    model, text = edit.apply(edit.model(), edit.relation()), edit.with_source(edit.text())
    batch, *alone = edit.run(
        edit.sample(model, text, noise=noise), *[edit.sample(model, text, noise=noise[i : i + 1]) for i in range(4)]
    )
    for i, single in enumerate(alone):
        assert relative_error(batch[i : i + 1], single) < BOUND
