"""Schedules of very large pictures, whose first levels hardly differ, in ComfyUI's samplers."""

from __future__ import annotations

import pytest
from compositions import patched
from edits import Edit

from relation_core.flux.schedule import relation_sigmas


@pytest.mark.parametrize("side", [3328, 4096])
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "res_multistep"])
def test_the_latent_is_finite(edit: Edit, sampler: str, side: int) -> None:
    sigmas = edit.value(relation_sigmas(8, (side // 16) ** 2))
    assert edit.run(edit.sample(patched(edit), edit.text(), sampler=sampler, sigmas=sigmas)).isfinite().all()
