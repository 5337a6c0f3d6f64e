"""Few channels are trained, and a whole TAESD is written that computes the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_run import write_autoencoder

from relation_tools.diffusers_host.autoencoder import decode, encode, load_autoencoder
from relation_tools.training.thin_autoencoder import ThinAutoencoder, taesd_tensors, thin_autoencoder


@pytest.fixture(scope="module")
def thin() -> ThinAutoencoder:
    torch.manual_seed(3)
    model = ThinAutoencoder()
    with torch.no_grad():
        for _ in range(30):
            model.encode(torch.rand(2, 3, 32, 32))
    return model.eval()


@torch.no_grad()
def test_the_file_computes_what_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(3)
    thin = write_autoencoder(tmp_path / "ae.safetensors")
    whole = load_autoencoder(tmp_path / "ae.safetensors", torch.float32)
    pictures = torch.rand(2, 48, 64, 3)
    latents = thin.encode(pictures.movedim(-1, 1))
    torch.testing.assert_close(encode(whole, pictures), latents, rtol=1e-4, atol=1e-4)
    drawn = thin.decode(latents).movedim(1, -1).clamp(0, 1)
    torch.testing.assert_close(decode(whole, latents), drawn, rtol=1e-4, atol=1e-4)
    assert drawn.std() > 0.05, "the latents show in the picture"


@torch.no_grad()
def test_latents_have_mean_0_and_variance_1() -> None:
    torch.manual_seed(4)
    model = ThinAutoencoder()
    model.encoder[-1].weight *= 1000  # random layers give next to nothing
    pictures = torch.rand(8, 3, 64, 64)
    encoded = model.encoder(pictures)
    for _ in range(600):
        model.norm(encoded)
    normal = model.eval().encode(pictures)
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(16), rtol=0, atol=0.05)
    torch.testing.assert_close(normal.std((0, 2, 3)), torch.ones(16), rtol=0, atol=0.05)


@torch.no_grad()
def test_a_thin_one_is_found_again_in_the_file(thin: ThinAutoencoder) -> None:
    tensors = {name: tensor.half() for name, tensor in taesd_tensors(thin).items()}
    again = thin_autoencoder(tensors)
    assert again is not None
    pictures = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(again.encode(pictures), thin.encode(pictures), rtol=1e-2, atol=1e-2)


def test_another_taesd_is_not_taken_for_a_thin_one(thin: ThinAutoencoder) -> None:
    tensors = taesd_tensors(thin)
    tensors["taesd_encoder.4.conv.2.weight"][40, 3] = 0.5  # in a block that a thin one has not
    assert thin_autoencoder(tensors) is None
