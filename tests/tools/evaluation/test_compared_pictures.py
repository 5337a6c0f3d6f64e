"""LPIPS, DINO and what an edit leaves alone: as the libraries have them on the same pictures."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_run import RESULT_SIZES, FinishedRun, make_run
from PIL import Image
from small_models import save_dino, save_trunk

from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.tensors import from_pil
from tests.command_line import run

LOCAL = 7
"""The sample whose target is its source but for a square."""
Compare = Callable[[Image.Image, Image.Image], float]


@dataclass(frozen=True)
class Models:
    dino: Path
    trunk: Path

    def options(self) -> tuple[object, ...]:
        return "--dino", self.dino, "--lpips", self.trunk, "--preservation"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    return Models(save_dino(folder / "dino"), save_trunk(folder / "alexnet.pth"))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, models: Models) -> FinishedRun:
    made = make_run(tmp_path_factory.mktemp("compared"))
    make_local(made)
    run("evaluate", "score", made.file, made.folder, *models.options())
    return made


def make_local(made: FinishedRun) -> None:
    """The edit paints a square; the result does too, and changes a stripe elsewhere, by one level and by many."""
    size = 128
    rows, columns = np.mgrid[0:size, 0:size]
    source = np.stack([rows, columns, (rows + columns) // 2], -1).astype(np.uint8) + 60
    target, result = source.copy(), source.copy()
    target[20:60, 20:60] = result[20:60, 20:60] = (250, 20, 20)
    result[90:94] += 1
    result[100:104] += 9
    sample = made.samples()[LOCAL]
    for path, pixels in (
        (made.file.parent / sample["source"], source),
        (made.file.parent / sample["target"], target),
        (made.result(LOCAL), result),
    ):
        Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def library(models: Models) -> Compare:
    """The library's own LPIPS, with the trunk's weights put in layer by layer."""
    import lpips

    weights = torch.load(models.trunk)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for part in (network.net.slice1, network.net.slice2, network.net.slice3, network.net.slice4, network.net.slice5):
        for number, layer in part.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data = weights[f"features.{number}.weight"]
                layer.bias.data = weights[f"features.{number}.bias"]

    def compare(first: Image.Image, second: Image.Image) -> float:
        both = (lpips.im2tensor(np.asarray(picture)) for picture in (first, second))
        with torch.no_grad():
            return float(network(*both))

    return compare


def pictures(made: FinishedRun, index: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Source, result and target; source and target in the result's size."""
    sample, result = made.samples()[index], Image.open(made.result(index))
    source, target = (Image.open(made.file.parent / sample[key]) for key in ("source", "target"))
    if index in RESULT_SIZES:
        source = source.resize(result.size, Image.LANCZOS)
        target = target.resize(result.size, Image.BICUBIC)
    return source, result, target


def test_lpips_is_the_librarys(scored: FinishedRun, library: Compare) -> None:
    scores = scored.scores()
    for one in scores:
        source, result, target = pictures(scored, int(one["index"]))
        assert one["lpips"] == pytest.approx(library(result, target), rel=1e-4, abs=1e-6)
        assert one["lpips_source"] == pytest.approx(library(result, source), rel=1e-4, abs=1e-6)
    assert scores[4]["lpips"] == 0 and len({round(one["lpips"], 4) for one in scores}) > 5


@pytest.mark.parametrize("kind", ["dinov2", pytest.param("vit", marks=pytest.mark.slow)])
def test_dino_is_the_librarys(scored: FinishedRun, models: Models, tmp_path: Path, kind: str) -> None:
    from transformers import AutoImageProcessor, AutoModel

    made, folder = scored, models.dino
    if kind == "vit":
        made, folder = copied(scored, tmp_path), save_dino(tmp_path / "vit", "vit")
        run("evaluate", "score", made.file, made.folder, "--dino", folder)
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoImageProcessor.from_pretrained(folder)
    scores = made.scores()
    for one in scores:
        sample = made.samples()[int(one["index"])]
        shown = [Image.open(made.result(int(one["index"]))), Image.open(made.file.parent / sample["target"])]
        with torch.no_grad():
            first, second = model(**processor(images=shown, return_tensors="pt")).last_hidden_state[:, 0]
        expected = float(first @ second / first.norm() / second.norm())
        assert one["dino"] == pytest.approx(expected, abs=1e-5)
    assert scores[4]["dino"] == pytest.approx(1) and len({round(one["dino"], 3) for one in scores}) > 5


def test_what_an_edit_leaves_alone(scored: FinishedRun, library: Compare) -> None:
    source, result, target = pictures(scored, LOCAL)
    outside = keep_unedited(from_pil(source), from_pil(target)).mask[0].numpy() == 0
    assert outside[110:].all() and outside[88:106].all() and not outside[22:58, 22:58].any()
    before, after = (np.asarray(picture, dtype=float) / 255 for picture in (source, result))
    one = scored.scores()[LOCAL]
    assert one["kept_mse"] == pytest.approx(((after - before) ** 2)[outside].mean(), rel=1e-5)
    unchanged = (np.abs(after - before).max(-1) * 255 < 1.5)[outside].mean()
    assert one["kept_share"] == pytest.approx(unchanged) and 0.9 < unchanged < 1
    joined = np.where(outside[..., None], np.asarray(result), np.asarray(source))
    assert one["kept_lpips"] == pytest.approx(library(source, Image.fromarray(joined)), rel=1e-4)
    assert 0 < one["kept_lpips"] < one["lpips_source"]


def test_a_global_edit_leaves_nothing_alone(scored: FinishedRun) -> None:
    assert [one["index"] for one in scored.scores() if one["kept_mse"] is not None] == [LOCAL]
    assert [one["index"] for one in scored.scores() if one["kept_lpips"] is not None] == [LOCAL]


def copied(scored: FinishedRun, folder: Path) -> FinishedRun:
    shutil.copytree(scored.folder, folder / "run")
    return FinishedRun(scored.file, folder / "run")


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_scores_do_not_depend_on_the_batch(scored: FinishedRun, models: Models, tmp_path: Path, size: int) -> None:
    made = copied(scored, tmp_path)
    (made.folder / "scores.jsonl").unlink()
    run("evaluate", "score", made.file, made.folder, *models.options(), "--batch-size", size)
    for ours, expected in zip(made.scores(), scored.scores(), strict=True):
        for name, value in expected.items():
            assert ours[name] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), name


def test_preservation_alone_keeps_what_lpips_said_of_it(scored: FinishedRun, tmp_path: Path) -> None:
    made = copied(scored, tmp_path)
    run("evaluate", "score", made.file, made.folder, "--preservation")
    assert made.scores() == scored.scores()


@pytest.mark.slow
def test_other_weights_of_lpips_score_anew(scored: FinishedRun, tmp_path: Path) -> None:
    made, other = copied(scored, tmp_path), save_trunk(tmp_path / "alexnet.pth", seed=1)
    run("evaluate", "score", made.file, made.folder, "--lpips", other, "--preservation")
    before, after = scored.scores()[LOCAL], made.scores()[LOCAL]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"lpips", "lpips_source", "kept_lpips", "made_by"}


def test_weights_that_are_not_there(scored: FinishedRun, models: Models, tmp_path: Path) -> None:
    """Nothing is downloaded: the message says what to download, and to where."""

    def score(weights: object, status: int = 1) -> str:
        home = {"TORCH_HOME": str(tmp_path / "home")}
        return run("evaluate", "score", scored.file, scored.folder, "--lpips", weights, status=status, environment=home)

    said = score("alex")
    assert "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in said and "--lpips" in said
    assert "no file" in score(tmp_path / "none.pth") and "0 files" in score(tmp_path)
    (tmp_path / "text.pth").write_text("weights")
    assert "Cannot load LPIPS" in score(tmp_path / "text.pth")
    checkpoints = tmp_path / "home" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    shutil.copy(models.trunk, checkpoints / "alexnet-owt-7be5be79.pth")
    before = scored.scores()
    score("alex", status=0)
    score(checkpoints, status=0)
    assert scored.scores() == before
    tensors = torch.load(models.trunk)
    torch.save({**tensors, "features.6.weight": tensors["features.6.weight"][:3]}, tmp_path / "cut.pth")
    assert "'features.6.weight' is of shape (3, 192, 3, 3)" in score(tmp_path / "cut.pth")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    assert "no weights of AlexNet, VGG-16 or SqueezeNet" in score(tmp_path / "other.pth")


def test_folders_that_hold_no_dino(scored: FinishedRun, tmp_path: Path) -> None:
    said = run("evaluate", "score", scored.file, scored.folder, "--dino", tmp_path, status=1)
    assert "Cannot load DINO" in said and "facebook/dinov2-base" in said
    folder = save_dino(tmp_path / "dino")
    config = (folder / "config.json").read_text().replace('"dinov2"', '"bert"')
    (folder / "config.json").write_text(config)
    said = run("evaluate", "score", scored.file, scored.folder, "--dino", folder, status=1)
    assert "model_type = 'bert'; expected one of dinov2," in said


def test_code_in_a_models_folder_is_neither_run_nor_asked_about(
    scored: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("builtins.input", lambda *question: asked.extend(question) or "y")
    folder = save_dino(tmp_path / "dino")
    settings = {"image_processor_type": "Own", "auto_map": {"AutoImageProcessor": "own.Own"}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    said = run("evaluate", "score", scored.file, scored.folder, "--dino", folder, status=1)
    assert "Cannot load DINO" in said and "custom code" in said
    assert asked == [] and not (tmp_path / "ran").exists()


def test_a_result_that_lpips_cannot_see(scored: FinishedRun, models: Models, tmp_path: Path) -> None:
    """That is said, and it has the other scores."""
    made = copied(scored, tmp_path)
    for name in ("source", "target"):
        Image.new("RGB", (40, 20), (9, 9, 9)).save(made.file.parent / made.samples()[2][name])
    Image.new("RGB", (40, 20)).save(made.result(2))
    for _ in range(2):
        said = run("evaluate", "score", made.file, made.folder, *models.options(), status=1)
        assert "Sample 2 lacks a score: A result of 40x20 pixels has no LPIPS; expected at least 32x32.\n" in said
        assert "11 of 11 samples scored" in said
        lacking = made.scores()[2]
        assert {"lpips", "lpips_source"}.isdisjoint(lacking)
        assert {"mse", "psnr", "ssim", "dino", "kept_mse"} <= lacking.keys()
        for ours, before in zip(made.scores(), scored.scores(), strict=True):
            assert ours == before or ours["index"] == 2
    Image.new("RGB", (6, 6)).save(made.result(2))
    (made.folder / "scores.jsonl").unlink()
    said = run("evaluate", "score", made.file, made.folder, status=1)
    assert "Sample 2 was not scored: A result of 6x6 pixels cannot be scored; expected at least 7x7." in said
    assert [one["index"] for one in made.scores()] == [0, 1, *range(3, 11)]
