"""The frozen parts of a small model, from pictures alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from relation_core.errors import CheckpointError, DatasetError
from relation_core.progress import Silent
from relation_core.randomness import generator_of
from relation_core.scenes.landscape import SIDE
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_tools.dataset.landscapes import LandscapeOptions, write_landscapes
from relation_tools.diffusers_host.autoencoder import load_autoencoder
from relation_tools.diffusers_host.vision_model import load_vision_model
from relation_tools.training import landscape_autoencoder
from relation_tools.training.landscape_autoencoder import pretrain_landscape_autoencoder
from relation_tools.training.landscape_vision import SIZES, VisionPretraining, detail, pretrain_landscape_vision
from relation_tools.training.picture_folder import PictureFolder, exemplar_matrix, pixels_of, random_crops
from relation_tools.training.pretraining import PretrainingOptions, pretrain
from relation_tools.training.run_state import load_state
from relation_tools.training.thin_autoencoder import ThinAutoencoder
from tests.command_line import run


def test_pictures_of_every_kind_are_drawn_and_other_files_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner, hidden = tmp_path / "a" / "b", tmp_path / ".hidden"
    for folder in (inner, hidden):
        folder.mkdir(parents=True)
    names = ("a.png", "b.JPG", "c.webp", "d.bmp", "e.tiff", "f.gif", "g.jfif")
    for name in names:
        Image.new("RGB", (SIDE, SIDE)).save(inner / name, Image.registered_extensions()[Path(name.lower()).suffix])
    Image.new("RGB", (SIDE, SIDE)).save(hidden / "h.png")
    (tmp_path / "a" / "notes.psd").write_bytes(b"")
    (tmp_path / "clip.mp4").write_bytes(b"")
    folder = PictureFolder(tmp_path, (SIDE, SIDE))
    assert len(folder) == len(names)
    folder.draw(20, 0, 0)
    (said,) = caplog.messages
    assert "2 files in" in said and "1 .mp4, 1 .psd" in said and str(Path("a", "notes.psd")) in said


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pictures")
    write_landscapes(out, LandscapeOptions(relations=4, scenes=6), 1, Silent())
    return out


def test_pictures_are_the_steps_own(pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = PictureFolder(pictures, (SIDE, SIDE))
    assert len(folder) == 18
    first, again, other = (pixels_of(folder.draw(9, 0, step)) for step in (3, 3, 4))
    assert first.shape == (9, 3, SIDE, SIDE) and 0 <= first.min() < 0.3 and 0.7 < first.max() <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not caplog.messages, "the dataset's own files are no surprise"
    crops = random_crops(first, 32, generator_of(0, 1))
    assert crops.shape == (9, 3, 32, 32)
    squares = first[:3].unfold(2, 32, 1).unfold(3, 32, 1).permute(0, 2, 3, 1, 4, 5)
    assert all((squares[row] == crops[row]).all(-1).all(-1).all(-1).any() for row in range(3))
    with pytest.raises(DatasetError, match="There are no pictures"):
        PictureFolder(tmp_path, (SIDE, SIDE))
    with pytest.raises(DatasetError, match="128 x 128 pixels; expected 64 x 64"):
        PictureFolder(pictures, (64, 64)).draw(1, 0, 0)


def test_pictures_are_made_ready_as_exemplars_are(pictures: Path) -> None:
    drawn = PictureFolder(pictures, (SIDE, SIDE)).draw(5, 0, 0)
    expected = vision_pixels([resize_exemplar(picture) for picture in drawn], SIZES.image_size)
    matrix = exemplar_matrix(SIDE, SIZES.image_size)
    found = matrix @ (2 * pixels_of(drawn) - 1) @ matrix.T
    assert (found - expected).abs().max() < 0.02
    assert (2 * pixels_of(drawn) - 1 - expected).abs().max() > 0.1, "it is not the picture as it was"


def test_detail_tells_fine_from_coarse_and_across_from_down() -> None:
    places = torch.arange(SIDE, dtype=torch.float32)
    stripes = torch.where(places % 2 == 0, 1.0, -1.0).expand(1, 3, SIDE, SIDE)
    blocks = torch.where(places % 8 < 4, 1.0, -1.0).expand(1, 3, SIDE, SIDE)
    for picture, loud in ((stripes, (0,)), (blocks, (0, 2)), (stripes.mT, (1,)), (blocks.mT, (1, 3))):
        parts = detail(picture).view(4, -1).mean(1)
        assert {place for place in range(4) if parts[place] > 0.3} == set(loud)


def test_the_vision_model_learns_to_draw_again_what_it_saw(pictures: Path) -> None:
    torch.manual_seed(0)
    model = VisionPretraining()
    pixels = 2 * pixels_of(PictureFolder(pictures, (SIDE, SIDE)).draw(3, 0, 0)) - 1
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    history: list[float] = []
    for _ in range(12):
        losses = model.losses(pixels)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        history.append(losses["thumbnail"].item())
    assert history[-1] < 0.3 * history[0]


@pytest.fixture
def few_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the signal to noise of 4 new pictures."""
    monkeypatch.setattr(landscape_autoencoder, "_MEASURED", 4)


@pytest.mark.usefixtures("few_measured")
def test_the_encoder_stays_when_it_is_frozen(pictures: Path, tmp_path: Path) -> None:
    states = []
    for steps in (2, 4):
        options = PretrainingOptions(tmp_path, steps, 2, warmup=1, decay=1, save_every=2, record_every=1)
        pretrain_landscape_autoencoder(pictures, options, encoder_steps=2)
        state = load_state(tmp_path / "states")
        assert state is not None
        states.append(state["module"])
    moved = {name for name, tensor in states[0].items() if not torch.equal(tensor, states[1][name])}
    assert moved and all(name.startswith("decoder.") for name in moved)


@pytest.mark.usefixtures("few_measured")
def test_other_pictures_are_another_run(pictures: Path, tmp_path: Path) -> None:
    """Whether they are others by contents, in order or in number, or the encoder is frozen at another step."""
    once = PretrainingOptions(tmp_path / "run", 1, 2, warmup=1, decay=1)
    longer = replace(once, steps=2)
    pretrain_landscape_autoencoder(pictures, once)
    changes: dict[str, Callable[[Path], object]] = {
        "turned": lambda path: Image.open(path).rotate(180).save(path),
        "last": lambda path: path.rename(path.with_name("000999.png")),
        "gone": Path.unlink,
    }
    for name, change in changes.items():
        shutil.copytree(pictures, tmp_path / name)
        change(tmp_path / name / "scenes" / "000" / "000002.png")
        with pytest.raises(CheckpointError, match=r"the pictures was [0-9a-f]{16}, is [0-9a-f]{16}"):
            pretrain_landscape_autoencoder(tmp_path / name, longer)
    with pytest.raises(CheckpointError, match="encoder_steps was 0, is 1"):
        pretrain_landscape_autoencoder(pictures, longer, encoder_steps=1)
    shutil.copytree(pictures, tmp_path / "same")
    (tmp_path / "same" / "scenes").rename(tmp_path / "same" / "scenery")
    pretrain_landscape_autoencoder(tmp_path / "same", longer)
    with pytest.raises(CheckpointError, match=r"the pictures was [0-9a-f]{16}, is gone"):
        pretrain(ThinAutoencoder(), lambda _: {}, replace(once, steps=3))


def test_other_pictures_are_another_run_of_the_vision_model(pictures: Path, tmp_path: Path) -> None:
    once = PretrainingOptions(tmp_path / "run", 1, 2, warmup=1, decay=1)
    pretrain_landscape_vision(pictures, once)
    shutil.copytree(pictures, tmp_path / "other")
    (tmp_path / "other" / "scenes" / "000" / "000003.png").unlink()
    with pytest.raises(CheckpointError, match="the pictures was"):
        pretrain_landscape_vision(tmp_path / "other", replace(once, steps=2))


@pytest.mark.usefixtures("few_measured")
def test_files_of_pretraining_load(pictures: Path, tmp_path: Path) -> None:
    few = ("--pictures", pictures, "--steps", 2, "--batch-size", 2)
    run("pretrain", "autoencoder", tmp_path / "ae", *few, "--encoder-steps", 1)
    said = run("pretrain", "vision", tmp_path / "vision", *few)
    assert "step" not in said  # none of the recorded ones was reached
    model = load_autoencoder(tmp_path / "ae" / "ae.safetensors", torch.float32)
    assert model.config["latent_channels"] == 16
    vision = load_vision_model(tmp_path / "vision" / "siglip.safetensors", torch.float32)
    assert vision.pooled(torch.zeros(3, 3, SIDE, SIDE)).shape == (3, SIZES.hidden_size)
