"""``evaluate run --headless``: samples without servers, in the folder of a run like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from finished_run import FinishedRun, make_run
from golden_case import GoldenCase
from PIL import Image
from small_pipeline import golden_files

from relation_core.pictures.picture_file import read_picture
from relation_tools.diffusers_host.models import load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings
from tests.command_line import run

CASE = GoldenCase.load("one_head")
LIMIT = 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    files = golden_files(CASE, tmp_path_factory.mktemp("models"))
    named = {"model": files.model, "adapter": files.adapter, "vision": files.vision, "vae": files.vae}
    return [*(f"--{name}={path}" for name, path in named.items()), *(f"--lora={path}" for path in files.loras)]


@pytest.fixture
def made(tmp_path: Path) -> FinishedRun:
    made = make_run(tmp_path)
    return FinishedRun(made.file, tmp_path / "headless")


def evaluate(made: FinishedRun, models: list[str], *options: str, status: int = 0) -> str:
    quick = ["--steps=1", "--long-side=48", "--device=cpu", f"--limit={LIMIT}", "--no-texts"]
    return run("evaluate", "run", made.file, made.folder, "--headless", *models, *quick, *options, status=status)


def journal(made: FinishedRun) -> list[tuple[str, int]]:
    lines = (made.folder / "journal.jsonl").read_text().splitlines()
    return [(entry["event"], entry["sample"]) for entry in map(json.loads, lines)]


def test_results_are_those_of_the_engine_and_are_scored_as_any(
    models: list[str], made: FinishedRun, tmp_path: Path
) -> None:
    assert f"{LIMIT} of {LIMIT} samples have a result." in evaluate(made, models)
    pipeline = RelationPipeline(load_models(golden_files(CASE, tmp_path), torch.float32), "cpu")
    sample = made.samples()[1]
    before, after, source = (read_picture(made.file.parent / sample[name]) for name in ("cond1", "cond2", "source"))
    relation = pipeline.relation([(before, after)], [1.0])
    expected = pipeline.edit(relation, source, pipeline.prompt(""), EditSettings(steps=1, long_side=48))
    assert Image.open(made.result(1)).tobytes() == expected.tobytes()
    assert journal(made) == [("done", number) for number in range(LIMIT)]
    assert f"{LIMIT} of {LIMIT} samples scored" in run("evaluate", "score", made.file, made.folder)


def test_it_resumes_and_runs_what_was_replaced(models: list[str], made: FinishedRun) -> None:
    source = made.file.parent / made.samples()[2]["source"]
    whole = source.read_bytes()
    source.write_bytes(b"no picture")
    said = evaluate(made, models, status=1)
    assert "Sample 2 failed: Cannot read the picture" in said and "3 of 4 samples have a result" in said
    first = {number: made.result(number).stat().st_ino for number in (0, 1, 3)}
    source.write_bytes(whole)
    replaced = made.file.parent / made.samples()[3]["cond2"]
    Image.new("RGB", (48, 40), "gold").save(replaced)
    (made.folder / "journal.jsonl").unlink()  # results say themselves what they are of
    assert "Sample 3 has a picture that was replaced since" in evaluate(made, models)
    assert {number: made.result(number).stat().st_ino == there for number, there in first.items()} == {
        0: True,
        1: True,
        3: False,
    }
    assert journal(made) == [("done", 2), ("done", 3)]
    assert "made with another edit" in evaluate(made, models, "--strength=0.5", status=1)
    assert "made with another workflow" in run("evaluate", "run", made.file, made.folder, "--server=x", status=1)


def test_a_run_that_could_not_begin_does_not_stand_in_the_way(models: list[str], made: FinishedRun) -> None:
    mistyped = ["--adapter=/nowhere/adapter.bin" if one.startswith("--adapter") else one for one in models]
    assert "There is nothing at /nowhere/adapter.bin" in evaluate(made, mistyped, status=1)
    assert "1 of 1 samples have a result" in evaluate(made, models, "--limit=1")
    assert "made with another edit" in evaluate(made, mistyped, status=1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "Got neither --server nor --headless"),
        (("--server=x", "--headless"), "Got both --server and --headless"),
        (("--server=x", "--steps=3"), "--steps is given with --server"),
        (("--server=x", "--no-texts"), "--no-texts is given with --server"),
        (("--headless", "--model=x"), "--headless lacks --adapter, --vision"),
        (("--headless", "--model=x", "--adapter=x", "--vision=x"), "The samples have texts, such as 'Edit <i>0</i>"),
        (("--headless", "--workers=2"), "--workers is given without --ray"),
        (("--headless", "--ray", "--device=cuda:1"), "--device cuda:1 is given with --ray"),
    ],
)
def test_what_is_refused(made: FinishedRun, options: tuple[str, ...], says: str) -> None:
    assert says in run("evaluate", "run", made.file, made.folder, *options, status=1)
    assert not (made.folder / "results").exists()
