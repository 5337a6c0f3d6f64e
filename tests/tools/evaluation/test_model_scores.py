"""Scores by models equal what their libraries give, whatever the batch, and are kept with the model that gave them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_run import FinishedRun, make_run
from PIL import Image
from small_models import save_clip

from relation_tools.evaluation.clip_scorer import directions
from tests.command_line import run

CAPTIONS = {1: ("a red cat", "a blue cat"), 5: ("a dog", "a dog")}


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> FinishedRun:
    made = make_run(tmp_path_factory.mktemp("models"))
    make_special(made)
    run("evaluate", "score", made.file, made.folder, "--clip", clip_folder)
    return made


def make_special(made: FinishedRun) -> None:
    """Sample 3 asks for no change, the result of 6 shows none, and two samples have captions."""
    samples: list[dict[str, Any]] = list(made.samples())
    folder = made.file.parent
    shutil.copy(folder / samples[3]["cond1"], folder / samples[3]["cond2"])
    shutil.copy(folder / samples[6]["source"], made.result(6))
    for index, (source, target) in CAPTIONS.items():
        samples[index] |= {"source_caption": source, "target_caption": target}
    made.file.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    claim_samples(made)


def claim_samples(made: FinishedRun) -> None:
    """Let the run belong to the changed file."""
    record = made.folder / "run.json"
    digest = hashlib.sha256(made.file.read_bytes()).hexdigest()
    record.write_text(json.dumps({**json.loads(record.read_text()), "samples": digest}))


def pictures(made: FinishedRun, index: int) -> list[Image.Image]:
    """A, A', B, B' and the target."""
    sample = made.samples()[index]
    names = [made.file.parent / sample[key] for key in ("cond1", "cond2", "source", "target")]
    return [Image.open(path).convert("RGB") for path in (*names[:3], made.result(index), names[3])]


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(first @ second / first.norm() / second.norm())


def by_library(folder: Path, shown: list[Image.Image], texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """The embeddings that transformers' CLIP itself gives."""
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(folder).eval()
    pixels = CLIPImageProcessor.from_pretrained(folder)(images=shown, return_tensors="pt").pixel_values
    tokens = CLIPTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = model(pixel_values=pixels, **tokens)
    return found.image_embeds, found.text_embeds


def test_clip_directions_are_those_of_the_library(scored: FinishedRun, clip_folder: Path) -> None:
    scores = scored.scores()
    for index in (0, 1, 2, 4, 10):
        (a, a1, b, b1, target), _ = by_library(clip_folder, pictures(scored, index), ["a"])
        assert scores[index]["clip_direction"] == pytest.approx(cosine(a1 - a, b1 - b), abs=1e-5), index
        assert scores[index]["clip_i"] == pytest.approx(cosine(b1, target), abs=1e-5), index
    assert len({round(one["clip_direction"], 3) for one in scores if one["clip_direction"] is not None}) > 5


def test_a_change_that_is_not_asked_for_or_not_made(scored: FinishedRun) -> None:
    scores = scored.scores()
    assert scores[3]["clip_direction"] is None
    assert scores[6]["clip_direction"] == 0


def test_rounding_is_no_change() -> None:
    change, noise = torch.tensor([[0.3, 0.4]]), torch.tensor([[3e-6, 4e-6]])
    assert directions(change, noise) == [0]
    assert directions(noise, change) == [None]
    assert directions(change, change) == [pytest.approx(1)]


def test_captions_are_compared_as_by_the_library(scored: FinishedRun, clip_folder: Path) -> None:
    scores = scored.scores()
    assert [one["index"] for one in scores if one["clip_t"] is not None] == [1, 5]
    for index, texts in CAPTIONS.items():
        (_, _, b, b1, _), (old, new) = by_library(clip_folder, pictures(scored, index), list(texts))
        assert scores[index]["clip_t"] == pytest.approx(cosine(new, b1), abs=1e-5)
        if index == 1:
            assert scores[1]["clip_text_direction"] == pytest.approx(cosine(new - old, b1 - b), abs=1e-5)
    assert scores[5]["clip_text_direction"] is None  # its captions are the same


def copied(scored: FinishedRun, folder: Path) -> FinishedRun:
    shutil.copytree(scored.file.parent, folder / "dataset")
    shutil.copytree(scored.folder, folder / "run")
    return FinishedRun(folder / "dataset" / "test.jsonl", folder / "run")


@pytest.mark.parametrize("size", [1, 3])
def test_scores_do_not_depend_on_the_batch(scored: FinishedRun, clip_folder: Path, tmp_path: Path, size: int) -> None:
    made = copied(scored, tmp_path)
    (made.folder / "scores.jsonl").unlink()
    run("evaluate", "score", made.file, made.folder, "--clip", clip_folder, "--batch-size", size)
    for ours, expected in zip(made.scores(), scored.scores(), strict=True):
        assert ours.keys() == expected.keys()
        for name, value in expected.items():
            assert ours[name] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), name


def test_scores_are_added_to_those_that_are_there(scored: FinishedRun, clip_folder: Path, tmp_path: Path) -> None:
    """What is there is not computed anew: a mark that is put there stays."""
    made = copied(scored, tmp_path)
    lines = [{**one, "mse": 0.125, "clip_i": 0.5} for one in made.scores()]
    (made.folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run("evaluate", "score", made.file, made.folder)
    assert made.scores() == lines
    run("evaluate", "score", made.file, made.folder, "--clip", clip_folder)
    assert made.scores() == lines


def test_another_model_scores_anew(scored: FinishedRun, clip_folder: Path, tmp_path: Path) -> None:
    made, old = copied(scored, tmp_path), scored.scores()
    other = save_clip(tmp_path / "other", seed=1, words=False)
    run("evaluate", "score", made.file, made.folder, "--clip", other)
    for ours, before in zip(made.scores(), old, strict=True):
        assert ours["mse"] == before["mse"] and ours["made_by"]["pixels"] == before["made_by"]["pixels"]
        assert ours["made_by"]["clip"]["model"] == "other"
        assert ours["made_by"]["clip"]["fingerprint"] != before["made_by"]["clip"]["fingerprint"]
        assert ours["clip_i"] != before["clip_i"] or before["index"] == 4
        assert ours["clip_t"] is None


def test_a_picture_that_was_replaced_is_scored_anew(scored: FinishedRun, clip_folder: Path, tmp_path: Path) -> None:
    made, old = copied(scored, tmp_path), scored.scores()
    shutil.copy(made.result(8), made.result(7))
    run("evaluate", "score", made.file, made.folder)
    found = made.scores()
    assert [one["index"] for one, before in zip(found, old, strict=True) if one != before] == [7]
    assert found[7]["mse"] != old[7]["mse"] and "clip_i" not in found[7]
    run("evaluate", "score", made.file, made.folder, "--clip", clip_folder)
    assert made.scores()[7]["clip_i"] != old[7]["clip_i"]


def test_a_changed_caption_is_scored_anew(scored: FinishedRun, clip_folder: Path, tmp_path: Path) -> None:
    made, old = copied(scored, tmp_path), scored.scores()
    made.file.write_text(made.file.read_text().replace("a blue cat", "a green cat"))
    claim_samples(made)
    run("evaluate", "score", made.file, made.folder, "--clip", clip_folder)
    changed = [one["index"] for one, before in zip(made.scores(), old, strict=True) if one != before]
    assert changed == [1] and made.scores()[1]["clip_t"] != old[1]["clip_t"]


def test_damaged_scores_are_made_anew(scored: FinishedRun, tmp_path: Path) -> None:
    made = copied(scored, tmp_path)
    (made.folder / "scores.jsonl").write_text('{"index": 0, "task"')
    assert "is damaged; its samples are scored anew" in run("evaluate", "score", made.file, made.folder)
    assert [one["mse"] for one in made.scores()] == [one["mse"] for one in scored.scores()]
