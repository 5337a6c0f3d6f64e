"""Instructions are encoded once, by FLUX.1's own encoders."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file, save_file
from small_run import SmallRun

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "diffusers_host"))

from golden_case import GoldenCase
from small_pipeline import pipeline_folder

from relation_core.errors import CheckpointError
from relation_core.progress import Silent
from relation_tools.training.texts import EmptyTexts, open_texts
from relation_tools.training.trainer import Trainer
from tests.counted_progress import CountedProgress

TEXTS = ("make it blue", "turn it", "invert the colours", "make it blue")


class Stopping(CountedProgress):
    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def step(self) -> None:
        super().step()
        if self.taken == self._after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipeline_folder(GoldenCase.load("one_head"), tmp_path_factory.mktemp("pipeline"))


def test_texts_are_those_of_the_pipeline(pipeline: Path, tmp_path: Path) -> None:
    cache = open_texts(tmp_path, TEXTS, pipeline, 12, "cpu", Silent())
    flux = FluxPipeline.from_pretrained(pipeline, transformer=None, vae=None)
    with torch.no_grad():
        text, pooled, _ = flux.encode_prompt(prompt=list(TEXTS), prompt_2=None, max_sequence_length=12)
    found = cache.encoded(TEXTS)
    assert found[0].shape == (4, 12, text.shape[-1])
    torch.testing.assert_close(found[0], text.float(), rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(found[1], pooled.float(), rtol=2e-3, atol=2e-3)
    assert torch.equal(found[0][0], found[0][3]) and not torch.equal(found[0][0], found[0][1])


def test_encoding_goes_on_after_a_kill(pipeline: Path, tmp_path: Path) -> None:
    texts = [f"text {'abcdefghij'[index % 10]} {'klmnopqrst'[index // 10]}" for index in range(100)]
    with pytest.raises(KeyboardInterrupt):
        open_texts(tmp_path / "killed", texts, pipeline, 8, "cpu", Stopping(after=90))
    rest = Stopping(after=1000)
    again = open_texts(tmp_path / "killed", texts, pipeline, 8, "cpu", rest)
    assert rest.taken == rest.total == 100 - 64
    whole = open_texts(tmp_path / "whole", texts, pipeline, 8, "cpu", Silent())
    for found, expected in zip(again.encoded(texts), whole.encoded(texts), strict=True):
        assert torch.equal(found, expected)
    nothing = Stopping(after=1)
    open_texts(tmp_path / "killed", texts, pipeline, 8, "cpu", nothing)
    assert nothing.taken == 0
    other = Stopping(after=1000)
    open_texts(tmp_path / "killed", texts, pipeline, 9, "cpu", other)
    assert other.taken == 100


def test_a_text_that_is_added_is_encoded_alone(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_texts(tmp_path, TEXTS, pipeline, 8, "cpu", Silent()).encoded(TEXTS)
    counting = CountedProgress()
    grown = open_texts(tmp_path, (*TEXTS, "add a hat"), pipeline, 8, "cpu", counting)
    assert counting.taken == counting.total == 1
    assert all(torch.equal(one, right) for one, right in zip(grown.encoded(TEXTS), before, strict=True))
    assert grown.encoded(["add a hat"])[0].any()
    monkeypatch.delattr("relation_tools.training.texts.open_text_encoders")  # which nothing needs any more
    fewer = open_texts(tmp_path, TEXTS[:2], pipeline, 8, "cpu", counting)
    assert counting.total == 0
    assert all(torch.equal(one, right[:2]) for one, right in zip(fewer.encoded(TEXTS[:2]), before, strict=True))


def test_other_encoders_under_the_same_path_are_found(pipeline: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    shutil.copytree(pipeline, folder)
    before = open_texts(tmp_path / "cache", TEXTS, folder, 8, "cpu", Silent()).encoded(TEXTS)[1]
    weights = next((folder / "text_encoder").glob("*.safetensors"))
    save_file({name: tensor * 1.5 for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    after = open_texts(tmp_path / "cache", TEXTS, folder, 8, "cpu", Silent()).encoded(TEXTS)[1]
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", ["texts.json", "text.npy", "pooled_text.npy"])
@pytest.mark.parametrize("data", [b"", b"{}", b"\0" * 40])
def test_damage_is_found_and_made_anew(pipeline: Path, tmp_path: Path, name: str, data: bytes) -> None:
    expected = open_texts(tmp_path, TEXTS, pipeline, 8, "cpu", Silent()).encoded(TEXTS)
    (path,) = tmp_path.rglob(name)
    path.write_bytes(data)
    found = open_texts(tmp_path, TEXTS, pipeline, 8, "cpu", Silent()).encoded(TEXTS)
    assert all(torch.equal(one, right) for one, right in zip(found, expected, strict=True))


def test_a_folder_without_text_encoders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not hold FLUX\.1's text encoders .*model_index\.json"):
        open_texts(tmp_path, TEXTS, tmp_path / "nothing", 8, "cpu", Silent())


def test_no_text_is_zeros() -> None:
    text, pooled = EmptyTexts(6, 3).encoded(TEXTS)
    assert (text.shape, pooled.shape) == ((4, 1, 6), (4, 3))
    assert not text.any() and not pooled.any()


def test_a_run_reads_its_samples_texts(small_run: SmallRun, pipeline: Path, tmp_path: Path) -> None:
    settings = small_run.into(tmp_path / "out", steps=2)
    widths = GoldenCase.load("one_head").meta
    sizes = replace(settings.models.new_transformer, text_dim=widths["text_dim"], pooled_text_dim=widths["pooled_dim"])
    models = replace(settings.models, new_transformer=sizes, text=pipeline, text_tokens=8)
    test = settings.data.train.with_name("test.jsonl")
    records = replace(settings.records, sheet_every=2, sheet_samples=1)
    data = replace(settings.data, cache=tmp_path / "cache", test=test)
    trainer = Trainer(replace(settings, models=models, data=data, records=records))
    seen: list[torch.Tensor] = []
    trainer.flow.transformer.context_embedder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    trainer.run()
    assert len(seen) == 2 + 2  # two training steps and two sampling steps
    assert all(text.shape[1] == 8 and text.any() for text in seen)
