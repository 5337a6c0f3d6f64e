"""Every command loads each model once, and only the models that it uses."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, FluxTransformer2DModel
from small_run import SmallRun, as_toml
from transformers import CLIPTextModel, SiglipVisionModel, T5EncoderModel

from relation_core.scenes.examples import draw_example
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, VISION
from relation_core.weights import checkpoint
from relation_tools.__main__ import main
from relation_tools.training.adapter_module import AdapterModule
from relation_tools.training.thin_autoencoder import ThinAutoencoder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "diffusers_host"))

from golden_case import GoldenCase
from small_pipeline import pipeline_folder

CASE = GoldenCase.load("one_head")
KINDS: tuple[type[Any], ...] = (
    *(AutoencoderKL, AutoencoderTiny, ThinAutoencoder, SiglipVisionModel, FluxTransformer2DModel, AdapterModule),
)
ENCODERS: tuple[type[Any], ...] = (CLIPTextModel, T5EncoderModel)
SMALL = (f"--model={FLUX}", f"--adapter={ADAPTER}", f"--vae={AUTOENCODER}", "--device=cpu")
EDIT = {"FluxTransformer2DModel": 1, "AutoencoderTiny": 1}
SEEN = {**EDIT, "SiglipVisionModel": 1}
TEXTS = {"CLIPTextModel": 1, "T5EncoderModel": 1}
MEASURED = {"FluxTransformer2DModel": 1, "AdapterModule": 1, "SiglipVisionModel": 1}


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Count models made in the block, text encoders loaded, and how often each weights file is opened."""
    made: Counter[str] = Counter()
    opened: Counter[str] = Counter()

    def counting(kind: type[Any], init: Callable[..., None]) -> Callable[..., None]:
        @wraps(init)  # libraries read its signature
        def count(self: Any, *args: Any, **kwargs: Any) -> None:
            if type(self) is kind:
                made[kind.__name__] += 1
            init(self, *args, **kwargs)

        return count

    def counting_loads(kind: type[Any], load: Callable[..., Any]) -> Any:
        def count(cls: type[Any], *args: Any, **kwargs: Any) -> Any:
            made[kind.__name__] += 1
            return load(*args, **kwargs)

        return classmethod(count)

    read = checkpoint.read_safetensors

    def count_read(path: Path) -> Any:
        opened[Path(path).name] += 1
        return read(path)

    with monkeypatch.context() as patch:
        for kind in KINDS:
            patch.setattr(kind, "__init__", counting(kind, kind.__init__))
        for kind in ENCODERS:  # they are also made without values, to know their size
            patch.setattr(kind, "from_pretrained", counting_loads(kind, kind.from_pretrained))
        patch.setattr(checkpoint, "read_safetensors", count_read)
        yield made, opened


def loads(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[dict[str, int], Counter[str]]:
    """Run a command; give the models that it made, and how often it opened each weights file."""
    torch.set_num_threads(1)
    with counted(monkeypatch) as (made, opened):
        assert main([str(argument) for argument in arguments]) == 0
    return dict(made), opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Before, after and source of an example, and a relation of it."""
    folder = tmp_path_factory.mktemp("pictures")
    found = {name: folder / f"{name}.png" for name in ("before", "after", "source")}
    for path, picture in zip(found.values(), draw_example("sky_green", 3, 4)[:3], strict=True):
        picture.save(path)
    relation = folder / "relation.safetensors"
    pair = (f"--before={found['before']}", f"--after={found['after']}")
    assert main(["encode", *pair, f"--adapter={ADAPTER}", f"--vision={VISION}", f"--out={relation}"]) == 0
    return {**found, "relation": relation}


def pair_of(pictures: dict[str, Path]) -> tuple[str, str]:
    return f"--before={pictures['before']}", f"--after={pictures['after']}"


def test_encode(pictures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = (f"--adapter={ADAPTER}", f"--vision={VISION}", f"--out={tmp_path / 'r.safetensors'}", "--device=cpu")
    made, opened = loads(monkeypatch, "encode", *pair_of(pictures), *options)
    assert made == {"SiglipVisionModel": 1} and opened[VISION.name] == 1


@pytest.mark.parametrize("vision", [(), (f"--vision={VISION}",)], ids=["without", "with"])
def test_edit_with_a_relation_needs_no_vision_model(
    pictures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vision: tuple[str, ...]
) -> None:
    options = (
        *SMALL,
        *vision,
        "--steps=1",
        "--long-side=0",
        f"--source={pictures['source']}",
        "-o",
        tmp_path / "o.png",
    )
    made, opened = loads(monkeypatch, "edit", f"--relation={pictures['relation']}", *options)
    assert made == EDIT and opened[VISION.name] == 0
    assert opened[FLUX.name] == opened[AUTOENCODER.name] == opened["relation.safetensors"] == 1


def test_edit_with_pairs(pictures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = (*SMALL, f"--vision={VISION}", "--steps=1", "--long-side=0", f"--source={pictures['source']}")
    made, opened = loads(monkeypatch, "edit", *pair_of(pictures), *options, "-o", tmp_path / "o.png")
    assert made == SEEN
    assert opened[FLUX.name] == opened[AUTOENCODER.name] == opened[VISION.name] == 1


def test_pairs_without_a_vision_model_are_refused_before_anything_is_loaded(
    pictures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = f"--source={pictures['source']}"
    for command in (("edit", source, "-o", tmp_path / "o.png"), ("tune", "-o", tmp_path / "o.safetensors")):
        with counted(monkeypatch) as (made, _):
            assert main([str(part) for part in (*command, *pair_of(pictures), *SMALL)]) == 1
        assert not made and "There are exemplar pairs but no vision model; expected SigLIP" in caplog.messages[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("started", [False, True])
def test_tune(pictures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: bool) -> None:
    """A relation to start from stands for what the vision model would see."""
    more = (f"--start={pictures['relation']}",) if started else (f"--vision={VISION}",)
    options = (*SMALL, *more, "--steps=1", "--batch-size=1", "--sheet-steps=1", "--long-side=0")
    made, opened = loads(monkeypatch, "tune", *pair_of(pictures), *options, "-o", tmp_path / "o.safetensors")
    assert made == (EDIT if started else SEEN)
    assert opened[FLUX.name] == opened[AUTOENCODER.name] == 1 and opened[VISION.name] == (not started)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole pipeline, with text encoders."""
    return pipeline_folder(CASE, tmp_path_factory.mktemp("pipeline") / "flux")


def test_edit_reads_prompts_with_text_encoders_loaded_once(
    pictures: dict[str, Path], pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = (f"--model={pipeline}", f"--adapter={CASE.folder / 'ip_adapter.bin'}", "--device=cpu")
    options = (f"--vision={CASE.folder / 'vision'}", f"--source={pictures['source']}", "--prompt=a", "--steps=1")
    made, _ = loads(
        monkeypatch, "edit", *pair_of(pictures), *models, *options, "--long-side=64", "-o", tmp_path / "o.png"
    )
    assert made == {"FluxTransformer2DModel": 1, "AutoencoderKL": 1, "SiglipVisionModel": 1, **TEXTS}


def test_measure_leaves_text_encoders_alone(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relation_tools.training.landscape_measuring.SPLITS", ("trained",))
    models = (
        f"--model={pipeline}",
        f"--adapter={CASE.folder / 'ip_adapter.bin'}",
        f"--vision={CASE.folder / 'vision'}",
    )
    made, _ = loads(monkeypatch, "measure", "--landscapes=1", *models, "--steps=1", "-o", tmp_path / "figures.json")
    assert made == {**MEASURED, "AutoencoderKL": 1}
    assert (tmp_path / "figures.json").is_file()


def test_measure_on_a_file(small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--cache", tmp_path / "cache", "--samples=2", "--steps=1", "--long-side=0", f"--vision={VISION}")
    made, opened = loads(
        monkeypatch, "measure", small_run.settings.data.train, *SMALL, *options, "-o", tmp_path / "figures.json"
    )
    assert made == {**MEASURED, "ThinAutoencoder": 1}
    assert opened[FLUX.name] == opened[VISION.name] == opened[AUTOENCODER.name] == 1


def test_train(small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exports are read back, which makes no model."""
    settings = small_run.into(tmp_path / "run", steps=1)
    settings = replace(settings, data=replace(settings.data, cache=tmp_path / "cache"))
    (tmp_path / "run.toml").write_text(as_toml(settings), encoding="utf-8")
    made, opened = loads(monkeypatch, "train", tmp_path / "run.toml")
    assert made == {**MEASURED, "ThinAutoencoder": 1}
    assert opened[settings.models.vae.name] == opened[settings.models.vision.name] == 1


def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts import demo

    monkeypatch.setattr(sys, "argv", ["demo", str(tmp_path)])
    monkeypatch.setattr(demo, "EDITS", list(demo.EDITS)[:2])
    monkeypatch.setattr(demo, "SETTINGS", replace(demo.SETTINGS, steps=1))
    with counted(monkeypatch) as (made, opened):
        demo.main()
    assert made == SEEN
    assert opened[FLUX.name] == opened[AUTOENCODER.name] == opened[VISION.name] == 1
