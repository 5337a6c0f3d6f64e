"""Keep Unedited after edits of landscapes, on their true results as the small model's autoencoder gives them back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from edits import Edit
from PIL import Image
from small_edits import SmallEdit

from comfyui_host.host import GraphError, Host
from relation_core.pictures.tensors import from_pil
from relation_core.scenes.examples import draw_pair

LOCAL, GLOBAL = ("moon", "balloon", "frame"), ("invert", "hues", "night")
SCENE, SIDE = 12, 256
"""The landscape, and the pixels a side that it is enlarged to: as it is painted, the autoencoder blurs its detail."""


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


def test_the_mask_fits_apply_and_a_latent_noise_mask(host: Host) -> None:
    """Where a moon was added, the picture is inverted; elsewhere it stays."""
    edit = SmallEdit(host, "invert", 11, SCENE)
    add = edit.graph.add
    _, _, _, _, kept = _keeping(edit, "moon")
    masked = add("SetLatentNoiseMask", samples=edit.source[1], mask=kept)
    second = edit.sampled(edit.applied(mask=kept), edit.source[0], masked)
    whole = edit.sampled(edit.applied(), edit.source[0])
    decoded = [add("VAEDecode", samples=one, vae=edit.vae) for one in (second, whole, edit.source[1])]
    mask, image, inverted, source = edit.run(kept, *decoded)
    assert 0 < mask.mean() < 1
    assert torch.isfinite(image).all()
    reached = torch.nn.functional.max_pool2d(mask[:, None], 65, 2, 32)[:, 0]
    assert reached.shape == image.shape[:3]
    assert (reached == 0).any()
    change, full = ((one - source).abs().mean(-1) for one in (image, inverted))
    assert change[reached == 0].mean() < 0.5 * full[reached == 0].mean()


@pytest.mark.parametrize("scene", range(4))
def test_an_autoencoder_that_softens_unevenly_does_not_make_an_edit_global(host: Host, scene: int) -> None:
    edit = Edit(host)
    add = edit.graph.add
    source = from_pil(draw_pair("mirror", scene)[0])
    target = source.clone()
    target[:, 30:70, 20 + 15 * scene : 55 + 15 * scene] = torch.tensor((0.9, 0.2, 0.6))
    vae = add("LoadSmallRelationModel")[1]
    result = add("VAEDecode", samples=add("VAEEncode", pixels=edit.value(target), vae=vae), vae=vae)
    kept = add("RelationKeep", source=edit.value(source), result=result)
    softened, image, mask = edit.run(result, kept[0], kept[1])
    assert mask.mean() < 0.2
    assert (image - target).square().mean() < 0.75 * (softened - target).square().mean()


def _kept(host: Host, name: str) -> list[torch.Tensor]:
    edit = SmallEdit(host, name, 11, SCENE)
    return edit.run(*_keeping(edit, name))


def _keeping(edit: SmallEdit, name: str) -> list[Any]:
    """Source, target, what the autoencoder makes of the target, and the node's picture and mask."""
    source, target = (edit.value(from_pil(_enlarged(picture))) for picture in draw_pair(name, SCENE))
    encoded = edit.graph.add("VAEEncode", pixels=target, vae=edit.vae)
    result = edit.graph.add("VAEDecode", samples=encoded, vae=edit.vae)
    kept = edit.graph.add("RelationKeep", source=source, result=result)
    return [source, target, result, kept[0], kept[1]]


def _enlarged(picture: Image.Image) -> Image.Image:
    return picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
