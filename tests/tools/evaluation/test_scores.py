"""Every score against a computation of its own."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from finished_run import RESULT_SIZES, FinishedRun, make_run
from PIL import Image
from small_models import DEVIATION, DIM, HEADS, LAYERS, MEAN, PATCH, SIDE, save_clip

from relation_tools.evaluation.errors import EvaluationError
from relation_tools.evaluation.metrics import pixel_scores
from tests.command_line import run


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> FinishedRun:
    made = make_run(tmp_path_factory.mktemp("scored"))
    run("evaluate", "score", made.file, made.folder, "--clip", clip_folder)
    return made


def pair(made: FinishedRun, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Result and target in [0, 1], of one size."""
    result, target = Image.open(made.result(index)), Image.open(made.target(index))
    target = target.resize(result.size, Image.BICUBIC) if index in RESULT_SIZES else target
    return np.asarray(result) / 255, np.asarray(target) / 255


def test_what_is_scored(scored: FinishedRun) -> None:
    scores = scored.scores()
    assert [one["index"] for one in scores] == list(range(11))
    assert [one["task"] for one in scores[::3]] == ["Depth", "Rain", "Lego", "Sketch <b>&"]
    assert [one["category"] for one in scores[::3]] == ["Low-Level", "Low-Level", "Customized Generation", ""]
    assert all(one["consistency"] is None and one["accuracy"] is None for one in scores)
    assert all(one["made_by"].keys() == {"pixels", "clip"} for one in scores)


def test_mse_and_psnr(scored: FinishedRun) -> None:
    for one in scored.scores():
        result, target = pair(scored, int(one["index"]))
        squares = [(float(a) - float(b)) ** 2 for a, b in zip(result.ravel(), target.ravel(), strict=True)]
        expected = math.fsum(squares) / len(squares)
        assert one["mse"] == pytest.approx(expected, rel=1e-12, abs=1e-15)
        if expected == 0:
            assert one["index"] in (0, 4) and one["psnr"] is None
        else:
            assert one["psnr"] == pytest.approx(10 * math.log10(1 / expected), rel=1e-12)


def ssim(result: np.ndarray, target: np.ndarray) -> float:
    """Wang et al. 2004, equation 13, in every 7x7 window, with unbiased variances."""
    c1, c2, count = 0.01**2, 0.03**2, 49
    values: list[float] = []
    for channel in range(3):
        x, y = (
            np.lib.stride_tricks.sliding_window_view(picture[..., channel], (7, 7)).reshape(-1, count)
            for picture in (result, target)
        )
        mx, my = x.mean(1), y.mean(1)
        dx, dy = x - mx[:, None], y - my[:, None]
        vx, vy, covariance = ((a * b).sum(1) / (count - 1) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
        values.append(
            float(((2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())
        )
    return sum(values) / 3


def test_ssim(scored: FinishedRun) -> None:
    for one in scored.scores():
        assert one["ssim"] == pytest.approx(ssim(*pair(scored, int(one["index"]))), rel=1e-9)


def preprocessed(picture: Image.Image) -> np.ndarray:
    """The shorter side to 28 (bicubic), the middle cut out, normalised: (3, 28, 28)."""
    width, height = picture.size
    short = min(width, height)
    picture = picture.resize((int(SIDE * width / short), int(SIDE * height / short)), Image.BICUBIC)
    left, top = (picture.width - SIDE) // 2, (picture.height - SIDE) // 2
    pixels = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE))) / 255
    return ((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)


def clip_embedding(weights: dict[str, np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """CLIP's vision transformer (Radford et al. 2021) in numpy; ``pixels`` is (3, 28, 28)."""

    def weight(name: str) -> np.ndarray:
        return weights[f"vision_model.{name}"]

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weight(f"{name}.weight").T + weight(f"{name}.bias")

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight(f"{name}.weight") + weight(f"{name}.bias")

    grid = SIDE // PATCH
    patches = pixels.reshape(3, grid, PATCH, grid, PATCH).transpose(1, 3, 0, 2, 4).reshape(grid**2, -1)
    tokens = patches @ weight("embeddings.patch_embedding.weight").reshape(DIM, -1).T
    x = np.concatenate([weight("embeddings.class_embedding")[None], tokens])
    x = norm("pre_layrnorm", x + weight("embeddings.position_embedding.weight"))
    for layer in range(LAYERS):
        block = f"encoder.layers.{layer}"
        y = norm(f"{block}.layer_norm1", x)
        q, k, v = (
            linear(f"{block}.self_attn.{name}_proj", y).reshape(-1, HEADS, DIM // HEADS).transpose(1, 0, 2)
            for name in "qkv"
        )
        logits = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(DIM // HEADS))
        attended = (logits / logits.sum(-1, keepdims=True)) @ v
        x = x + linear(f"{block}.self_attn.out_proj", attended.transpose(1, 0, 2).reshape(-1, DIM))
        y = linear(f"{block}.mlp.fc1", norm(f"{block}.layer_norm2", x))
        x = x + linear(f"{block}.mlp.fc2", y / (1 + np.exp(-1.702 * y)))
    pooled = norm("post_layernorm", x[0])
    return weights["visual_projection.weight"] @ pooled


def test_clip_i(scored: FinishedRun, clip_folder: Path) -> None:
    from safetensors.numpy import load_file
    from transformers import CLIPImageProcessor

    weights = {name: value.astype(np.float64) for name, value in load_file(clip_folder / "model.safetensors").items()}
    processor = CLIPImageProcessor.from_pretrained(clip_folder)
    found = scored.scores()
    for one in found:
        embeddings: list[np.ndarray] = []
        for path in (scored.result(int(one["index"])), scored.target(int(one["index"]))):
            picture = Image.open(path).convert("RGB")
            pixels = np.asarray(processor(images=[picture], return_tensors="np").pixel_values[0], dtype=np.float64)
            # Torchvision's and Pillow's bicubic differ by one level of 255 here and there.
            assert np.abs(pixels - preprocessed(picture)).max() <= 1.01 / 255 / min(DEVIATION)
            embeddings.append(clip_embedding(weights, pixels))
        lengths = [np.linalg.norm(embedding) for embedding in embeddings]
        assert one["clip_i"] == pytest.approx(float(embeddings[0] @ embeddings[1] / lengths[0] / lengths[1]), abs=1e-5)
    assert found[4]["clip_i"] == pytest.approx(1, abs=1e-6)
    assert found[4]["clip_i"] - min(one["clip_i"] for one in found) > 1e-3


def test_scoring_again_changes_nothing(scored: FinishedRun, clip_folder: Path) -> None:
    before = (scored.folder / "scores.jsonl").read_bytes()
    run("evaluate", "score", scored.file, scored.folder, "--clip", clip_folder)
    assert (scored.folder / "scores.jsonl").read_bytes() == before


def test_a_folder_that_is_no_clip_is_an_error(scored: FinishedRun, tmp_path: Path) -> None:
    assert "Cannot load CLIP" in run("evaluate", "score", scored.file, scored.folder, "--clip", tmp_path, status=1)


def test_a_clip_without_its_weights_is_an_error(scored: FinishedRun, clip_folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(clip_folder, tmp_path / "clip")
    weights = load_file(clip_folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "clip" / "model.safetensors", metadata={"format": "pt"})
    said = run("evaluate", "score", scored.file, scored.folder, "--clip", tmp_path / "clip", status=1)
    assert "no weights 'visual_projection.weight'" in said


def test_results_of_other_samples_are_refused(scored: FinishedRun, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(scored.samples()[0]))
    assert "other samples" in run("evaluate", "score", other, scored.folder, status=1)
    assert "holds no results" in run("evaluate", "score", other, tmp_path, status=1)


def test_tiny_results_are_refused() -> None:
    with pytest.raises(EvaluationError, match="6x6"):
        pixel_scores(Image.new("RGB", (6, 6)), Image.new("RGB", (6, 6)))


def test_a_result_that_would_take_gigabytes_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"8191x4096 pixels cannot be scored; expected at most 16\.8 million"):
        pixel_scores(Image.new("RGB", (8191, 4096)), Image.new("RGB", (8, 8)))
