"""Keep Unedited after true edits of the model of drawn scenes."""

from __future__ import annotations

import pytest
import torch
from small_edits import SmallEdit

from comfyui_host.host import GraphError, Host

LOCAL, GLOBAL = ("recolour_red", "background_green", "add_frame"), ("invert", "darken", "blur")


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_edit_comes_nearer_to_its_target(host: Host, name: str) -> None:
    source, target, result, image, mask = _kept(host, name)
    assert (image - target).square().mean() < (result - target).square().mean()
    outside = (source - target).abs().amax(-1) <= 1 / 255
    assert ((image - source).abs().amax(-1)[outside] <= 1 / 255).float().mean() > 0.85
    assert mask.shape == image.shape[:3]


@pytest.mark.parametrize("name", GLOBAL)
def test_a_global_edit_is_left_alone(host: Host, name: str) -> None:
    _, _, result, image, mask = _kept(host, name)
    assert torch.equal(image, result)
    assert mask.min() == 1


def test_batches_that_do_not_match_are_refused(host: Host) -> None:
    edit = SmallEdit(host, "blur", 1, 2)
    three = edit.value(torch.rand(3, 16, 16, 3))
    two = edit.value(torch.rand(2, 16, 16, 3))
    with pytest.raises(GraphError, match="Got 3 source pictures and 2 results"):
        edit.run(edit.graph.add("RelationKeep", source=three, result=two)[0])


def _kept(host: Host, name: str) -> list[torch.Tensor]:
    edit = SmallEdit(host, name, 11, 12)
    add = edit.graph.add
    result = add("VAEDecode", samples=edit.sampled(edit.applied(), edit.source[0]), vae=edit.vae)
    kept = add("RelationKeep", source=edit.picture, result=result)
    return edit.run(edit.picture, edit.target, result, kept[0], kept[1])


def test_the_mask_fits_apply_and_a_latent_noise_mask(host: Host) -> None:
    edit = SmallEdit(host, "recolour_red", 11, 12)
    add = edit.graph.add
    latent = edit.sampled(edit.applied(), edit.source[0])
    kept = add("RelationKeep", source=edit.picture, result=add("VAEDecode", samples=latent, vae=edit.vae))
    masked = add("SetLatentNoiseMask", samples=edit.source[1], mask=kept[1])
    second = edit.sampled(edit.applied(mask=kept[1]), edit.source[0], masked)
    mask, image, whole = edit.run(kept[1], *(add("VAEDecode", samples=one, vae=edit.vae) for one in (second, latent)))
    assert 0 < mask.mean() < 1
    assert torch.isfinite(image).all()
    far = torch.nn.functional.max_pool2d(mask[:, None], 33, 1, 16)[:, 0] == 0
    source = edit.run(add("VAEDecode", samples=edit.source[1], vae=edit.vae))[0]
    assert far.any()
    assert (image - source).abs()[far].mean() < 0.5 * (whole - source).abs()[far].mean()
