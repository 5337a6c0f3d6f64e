"""Readers that need no model: pictures, listings, settings, records."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from damage import Damage
from finished_run import FinishedRun, make_run
from reading import Reader
from synthetic import Shape, hub_dataset, listed_dataset
from text_damage import csv_damages, json_damages, line_damages, text_damages, toml_damages

from pictures import good_picture, picture_damages
from relation_core.errors import RelationAdapterError
from relation_core.flux.source import resize_source, source_size
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.tensors import from_pil
from relation_core.pictures.thumbnails import pair_thumbnail
from relation_core.progress import Silent
from relation_core.samples.samples import TaskTable, read_sample, read_samples
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_core.weights.lock import alone_in
from relation_tools.commands.dataset import read_categories
from relation_tools.dataset.build import BuildOptions, build
from relation_tools.dataset.sheet import choose_samples, draw_sheet
from relation_tools.dataset.statistics import statistics
from relation_tools.dataset.validation import validate
from relation_tools.diffusers_host.identity import read_identity
from relation_tools.evaluation.journal import Entry, Journal, read_journal
from relation_tools.evaluation.judging import read_judgement
from relation_tools.evaluation.metrics import PixelScorer
from relation_tools.evaluation.run_folder import RunFolder
from relation_tools.evaluation.scores import read_scores
from relation_tools.evaluation.scoring import finished_samples, score_samples
from relation_tools.evaluation.template import SHIPPED, Values, load_template
from relation_tools.training.curve import Curve, read_curve
from relation_tools.training.settings import RunSettings
from relation_tools.training.settings_file import read_settings


def json_form() -> Iterator[Damage]:
    yield from text_damages()
    yield from json_damages(16)


def lines_form() -> Iterator[Damage]:
    yield from text_damages()
    yield from line_damages(16)


def toml_form() -> Iterator[Damage]:
    yield from text_damages()
    yield from toml_damages(25)


def csv_form() -> Iterator[Damage]:
    yield from text_damages()
    yield from csv_damages(20)


def _exemplar(folder: Path) -> None:
    picture = read_picture(folder / "picture.png")
    assert picture.mode == "RGB"
    vision_pixels([resize_exemplar(picture)], 32)
    pair_thumbnail(picture, picture)
    resize_source(from_pil(picture), source_size(*picture.size, 64))


def _dataset(folder: Path, suffix: str = ".jsonl") -> Path:
    """Two tasks of two pairs, with all that lies beside them."""
    lines: list[str] = []
    for task in ("blue", "flip"):
        for number in range(2):
            stem = f"pictures/{task}/{number}"
            (folder / stem).parent.mkdir(parents=True, exist_ok=True)
            names = {key: f"{stem}_{key}.png" for key in ("cond1", "cond2", "source", "target")}
            for name in names.values():
                good_picture(folder / name, (16, 16))
            lines.append(json.dumps({**names, "text": f"make it {task}"}))
    file = folder / f"train{suffix}"
    file.write_text("\n".join(lines) + "\n" if suffix == ".jsonl" else "[" + ",\n".join(lines) + "]")
    table = {task: {"folder": f"pictures/{task}", "category": "Colour"} for task in ("blue", "flip")}
    (folder / "tasks.json").write_text(json.dumps(table))
    return file


def _samples(file: Path) -> None:
    """All that reads a listing."""
    found = validate([file], Silent())
    assert found.files[0].samples or not found.files[0].pictures
    statistics([file], Silent())
    _refused(lambda: read_sample(file, 0))
    _refused(lambda: draw_sheet(file.parent, choose_samples(file, 2, 0, None)))
    list(read_samples(file))


def _refused(read: Any) -> None:
    with contextlib.suppress(RelationAdapterError):
        read()


def _tasks(folder: Path) -> None:
    table = TaskTable(folder / "train.jsonl")
    assert {table.task(sample).name for sample in read_samples(folder / "train.jsonl")}


def _built(folder: Path, pairs: Path) -> None:
    out = folder / "out"
    build(pairs, out, BuildOptions(test_pairs=2), {}, 1, Silent())
    for sample in read_samples(out / "train.jsonl"):
        for name in sample.pictures:
            read_picture(out / name)


def _make_build(folder: Path) -> None:
    hub_dataset(folder / "pairs", Shape(1, 4, 16, ".png"))
    build(folder / "pairs", folder / "out", BuildOptions(test_pairs=2), {}, 1, Silent())
    shutil.copy(folder / "out" / "train.jsonl", folder / "expected.jsonl")


def _build_again(folder: Path) -> None:
    for name in ("pairs", "out"):  # a copy has other times, as a picture that was changed
        assert (folder / name).is_dir()
    _built(folder, folder / "pairs")
    assert (folder / "out" / "train.jsonl").read_bytes() == (folder / "expected.jsonl").read_bytes()


def _settings(folder: Path) -> None:
    text = """output = "run"
seed = 3
device = "cpu"
[data]
train = "train.jsonl"
cache = "cache"
long_side = 512
[models]
vae = "ae.safetensors"
vision = "siglip.safetensors"
transformer = "flux"
[adapter]
tokens = 128
[training]
trained = "adapter and lora"
steps = 100
learning_rate = 1e-4
compile = false
[records]
save_every = 10
"""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.toml").write_text(text)


def _curve(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "\n".join(f"{step},{1 / step:.4f},1e-4,5.0," for step in range(1, 40))
    (folder / "curve.csv").write_text(f"step,loss,learning_rate,samples_per_second,accuracy\n{rows}\n")


def _read_curve(folder: Path) -> None:
    rows = read_curve(folder / "curve.csv")
    assert all(math.isfinite(float(row["step"])) for row in rows)
    Curve(folder / "curve.csv", ("step", "loss"), 20).add({"step": 21, "loss": 1})


def _run(folder: Path) -> FinishedRun:
    return FinishedRun(folder / "dataset" / "test.jsonl", folder / "run")


def _make_run(folder: Path) -> None:
    made = make_run(folder)
    record = json.loads((made.folder / "run.json").read_text())
    (made.folder / "run.json").unlink()
    kept = [made.folder / "results", made.folder / "journal.jsonl"]
    for path in kept:
        path.rename(folder / path.name)
    run = RunFolder(made.folder)
    run.open(made.file, SHIPPED, 1000)
    for path in kept:
        (folder / path.name).rename(path)
    assert json.loads((made.folder / "run.json").read_text())["samples"] == record["samples"]
    samples = finished_samples(read_samples(made.file), run)
    run.judgements.mkdir()
    for sample in samples:
        scores = {"consistency": 4.0, "accuracy": 3.0, "reason": "x"}
        (run.judgements / f"{sample.index:06d}.json").write_text(json.dumps({"request": {}, "scores": scores}))
    score_samples(samples, made.file, run, [PixelScorer()], Silent(), {})


def _run_record(folder: Path) -> None:
    """A damaged record must not let results of other settings pass."""
    made, run = _run(folder), RunFolder(folder / "run")
    for seed in (1001, 1002):
        try:
            run.open(made.file, SHIPPED, seed)
        except RelationAdapterError:
            continue
        raise AssertionError("the results of another seed were taken")
    run.check_samples(made.file)
    run.open(made.file, SHIPPED, 1000)


def _journal(folder: Path) -> None:
    path = folder / "run" / "journal.jsonl"
    read_journal(path)
    with Journal(path) as journal:
        journal.add(Entry("done", 3))
    assert read_journal(path)[-1].sample == 3


def _judged(folder: Path) -> None:
    made, run = _run(folder), RunFolder(folder / "run")
    for sample in read_samples(made.file):
        found = read_judgement(run, sample, made.file.parent)
        assert found is None or 0 <= found.consistency <= 10


def _scored(folder: Path) -> None:
    made, run = _run(folder), RunFolder(folder / "run")
    failed: dict[int, str] = {}
    score_samples(finished_samples(read_samples(made.file), run), made.file, run, [PixelScorer()], Silent(), failed)


def _template(folder: Path) -> None:
    template = load_template(folder / "workflow.json")
    assert template.result_node is None or template.result_node in template.nodes
    json.dumps(template.filled(Values("a.png", "b.png", "c.png", "text", 5)))


def _only(name: str, data: bytes) -> Any:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return make


def _locked(folder: Path) -> None:
    try:
        with alone_in(folder, "reading"):
            pass
    except OSError as error:  # the command line words it, by the file's name
        assert error.filename and error.strerror


def _identified(folder: Path) -> None:
    assert isinstance(read_identity(folder / "picture.png"), str | None)


def _picture(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    good_picture(folder / "picture.png")


def light_readers() -> Iterable[Reader]:
    """All of them."""
    yield Reader("exemplar", "picture.png", _picture, _exemplar, picture_damages)
    yield Reader("identity of a result", "picture.png", _picture, _identified, picture_damages)
    for suffix in (".jsonl", ".json"):
        form = lines_form if suffix == ".jsonl" else json_form
        yield Reader(
            f"samples{suffix}",
            f"train{suffix}",
            lambda folder, suffix=suffix: _dataset(folder, suffix),
            lambda folder, suffix=suffix: _samples(folder / f"train{suffix}"),
            form,
        )
        yield Reader(
            f"pairs{suffix}",
            f"pairs{suffix}",
            lambda folder, suffix=suffix: listed_dataset(folder, Shape(1, 4, 16, ".png"), suffix),
            lambda folder, suffix=suffix: _built(folder, folder / f"pairs{suffix}"),
            form,
        )
    yield Reader(
        "labels",
        "hub/1-Task_000/Group1/labels.json",
        lambda folder: hub_dataset(folder / "hub", Shape(1, 4, 16, ".png")),
        lambda folder: _built(folder, folder / "hub"),
        json_form,
    )
    yield Reader(
        "a picture of a dataset",
        "pictures/blue/0_source.png",
        _dataset,
        lambda folder: _samples(folder / "train.jsonl"),
        picture_damages,
    )
    yield Reader("tasks", "tasks.json", _dataset, _tasks, json_form)
    yield Reader(
        "categories",
        "categories.json",
        _only("categories.json", b'{"blue": "Colour", "flip": "Place"}'),
        lambda folder: read_categories(folder / "categories.json"),
        json_form,
    )
    yield Reader("a record of a build", "out/.build/split/000000.json", _make_build, _build_again, json_form)
    yield Reader("a half of a build", "out/pictures/1-Task_000/image_0_before.png", _make_build, _build_again, tuple)
    yield Reader("settings", "run.toml", _settings, lambda f: read_settings(f / "run.toml", RunSettings), toml_form)
    yield Reader("curve", "curve.csv", _curve, _read_curve, csv_form)
    yield Reader("workflow", "workflow.json", _only("workflow.json", SHIPPED.read_bytes()), _template, json_form)
    yield Reader("record of a run", "run/run.json", _make_run, _run_record, json_form)
    yield Reader("journal", "run/journal.jsonl", _make_run, _journal, lines_form)
    yield Reader("judgement", "run/judgements/000001.json", _make_run, _judged, json_form)
    yield Reader("scores", "run/scores.jsonl", _make_run, lambda f: read_scores(RunFolder(f / "run")), lines_form)
    yield Reader("result", "run/results/000001.png", _make_run, _scored, picture_damages)
    yield Reader("lock", ".relation-adapter.lock", _only(".relation-adapter.lock", b"x"), _locked, tuple)
