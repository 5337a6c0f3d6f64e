"""``python -m relation_tools edit``, with the golden models and a tiny autoencoder of random weights."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from golden_case import GOLDEN, GoldenCase
from PIL import Image, ImageOps
from random_weights import relative_error
from small_pipeline import golden_files, pipeline_folder, tiny_autoencoder

from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.comparison import comparison_sheet
from relation_core.pictures.tensors import from_pil
from relation_tools.__main__ import main
from relation_tools.commands.edit import add_commands, fill_in
from relation_tools.diffusers_host import editing
from relation_tools.diffusers_host.jobs import EditJob, JobError, plan_jobs, save_picture
from relation_tools.diffusers_host.models import load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings

CASE = GoldenCase.load("one_head")
BEFORE, AFTER, SOURCE = (CASE.folder / f"{name}.png" for name in ("before", "after", "source"))
QUICK = ("--steps", "2", "--long-side", "96", "--device", "cpu")


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_autoencoder(tmp_path_factory.mktemp("vae") / "ae.safetensors")


def edit(vae: Path, source: Path, out: Path, *options: str) -> int:
    models = {
        "model": CASE.folder / "transformer.safetensors",
        "adapter": CASE.folder / "ip_adapter.bin",
        "vision": CASE.folder / "vision" / "model.safetensors",
        "vae": vae,
        "lora": CASE.folder / "pytorch_lora_weights.safetensors",
        "before": BEFORE,
        "after": AFTER,
        "source": source,
        "out": out,
    }
    return main(["edit", *(f"--{name}={path}" for name, path in models.items()), *QUICK, *options])


def refusal(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    return record.getMessage()


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_the_result_and_its_sheet(vae: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.png"
    assert edit(vae, SOURCE, out, "--seed", "5") == 0
    assert files_in(tmp_path) == {"new", "new/out.png", "new/out.comparison.png"}
    pipeline = RelationPipeline(load_models(golden_files(CASE, tmp_path), torch.float32), "cpu")
    before, after, source = (Image.open(path).convert("RGB") for path in (BEFORE, AFTER, SOURCE))
    relation = pipeline.relation([(before, after)], [1.0])
    expected = pipeline.edit(relation, source, pipeline.prompt(""), EditSettings(steps=2, long_side=96, seed=5))
    result = Image.open(out)
    assert result.tobytes() == expected.tobytes()
    sheet = Image.open(out.with_name("out.comparison.png"))
    assert sheet.tobytes() == comparison_sheet((before, after, source, result)).tobytes()


def test_every_option_reaches_the_edit(vae: Path, tmp_path: Path) -> None:
    def result(*options: str) -> torch.Tensor:
        small = ("--overwrite", "--no-comparison", "--long-side=48")
        assert edit(vae, SOURCE, tmp_path / "out.png", *small, *options) == 0
        return from_pil(Image.open(tmp_path / "out.png"))

    base = result()
    assert base.shape == (1, 32, 48, 3)
    assert files_in(tmp_path) == {"out.png"}
    assert torch.equal(result(), base)
    second = (f"--before={AFTER}", f"--after={SOURCE}")
    changes: list[tuple[str, ...]] = [
        ("--steps=3",),
        ("--guidance=2",),
        ("--strength=0.5",),
        ("--double-strength=0.5",),
        ("--single-strength=0.5",),
        ("--start=0.6",),
        ("--end=0.4",),
        ("--seed=1",),
        ("--source-scale=0.5",),
        ("--steps=3", "--refresh-every=2"),
        ("--steps=3", "--solver=dpmpp_2m"),
        ("--steps=3", "--refresh-every=2", "--reuse-8bit"),
        ("--lora-strength=0.5",),
        ("--fit=stretch",),
        second,
        (*second, "--weight=1", "--weight=3"),
        ("--dtype=bfloat16",),
    ]
    results = [result(*change) for change in changes]
    for change, found in zip(changes, results, strict=True):
        assert not torch.equal(found, base), change
    assert not torch.equal(results[-2], results[-3])
    for change, found in zip(changes[1:], results[1:], strict=True):
        if "--steps=3" in change:  # it is not only the steps that change the result
            assert not torch.equal(found, results[0]), change
    assert {f"--{field.name.replace('_', '-')}" for field in fields(EditSettings)} == {
        *(option.partition("=")[0] for change in changes[:12] for option in change),
        "--long-side",
    }
    assert result("--long-side=96").shape == (1, 64, 96, 3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", (24, "euler", 1)),
        ("--fast", (10, "dpmpp_2m", 2)),
        ("--fast --steps=24", (24, "dpmpp_2m", 2)),
        ("--steps=24 --fast", (24, "dpmpp_2m", 2)),
        ("--solver=euler --fast --refresh-every=1", (10, "euler", 1)),
        ("--refresh-every=4", (24, "euler", 4)),
    ],
)
def test_options_come_before_the_fast_recipe(given: str, expected: tuple[int, str, int]) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser)
    needed = ("--source=b.png", "--out=c.png", "--model=m", "--adapter=a")
    options = parser.parse_args([*needed, *given.split()])
    fill_in(options)
    assert (options.steps, options.solver, options.refresh_every) == expected


def test_keeping_gives_the_source_back(vae: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "out.png"

    def result(*options: str) -> torch.Tensor:
        assert edit(vae, SOURCE, out, "--overwrite", "--no-comparison", *options) == 0
        return from_pil(Image.open(out))

    plain, source = result(), from_pil(Image.open(SOURCE).convert("RGB"))
    assert edit(vae, SOURCE, out, "--overwrite", "--keep-threshold=1") == 1
    assert "need --keep. Add it." in caplog.text
    settings = ("--keep", "--keep-threshold=0.3", "--keep-grow=2", "--keep-feather=3")
    expected = keep_unedited(source, plain, 0.3, 2, 3).image.mul(255).round().div(255)
    assert (result(*settings) - expected).abs().max() < 1e-6
    assert not torch.equal(expected, plain)
    sources, results = tmp_path / "sources", tmp_path / "results"
    sources.mkdir()
    shutil.copy(SOURCE, sources)
    assert edit(vae, sources, results, "--no-comparison") == 0
    assert edit(vae, sources, results, "--no-comparison", "--keep") == 1
    assert "made of another source, or with other settings" in caplog.text
    with pytest.raises(SystemExit):
        edit(vae, SOURCE, out, "--keep", "--keep-threshold=2")


def test_a_folder_of_sources(vae: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sources, out = tmp_path / "sources", tmp_path / "out"
    (sources / "inner").mkdir(parents=True)
    picture = Image.open(SOURCE)
    picture.save(sources / "one.png")
    ImageOps.mirror(picture.convert("RGB")).save(sources / "two.jpg")
    (sources / "broken.webp").write_bytes(b"no picture")
    (sources / "notes.txt").write_text("no picture either")
    picture.save(sources / "inner" / "three.png")
    assert edit(vae, sources, out, "--no-comparison") == 1
    assert files_in(out) == {"one.png", "two.png"}
    assert "Cannot read the picture" in caplog.text and "broken.webp" in caplog.text
    assert "2 of 3 pictures edited: " in caplog.text and "1 of 3 pictures failed" in caplog.text

    caplog.clear()
    (sources / "broken.webp").unlink()
    (out / "two.png").unlink()
    (out / "one.png").write_bytes(b"mine")
    assert edit(vae, sources, out) == 0
    assert files_in(out) == {"one.png", "two.png", "two.comparison.png"}
    assert (out / "one.png").read_bytes() == b"mine"
    assert "1 of 1 pictures edited, 1 were there already" in caplog.text
    assert edit(vae, sources, out) == 0
    assert "All 2 results are there already" in caplog.text
    assert "1 of those that were there do not say what they were made of, and were left as they are: one.png" in (
        caplog.text
    )
    assert edit(vae, sources, out, "--overwrite") == 0
    assert (out / "one.png").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--after", str(AFTER)), "There are 1 pictures before and 2 after the edit"),
        (("--weight", "1", "--weight", "2"), "Got 1 exemplar pairs and 2 weights"),
        (
            ("--prompt", "a cat", "--model", "before_it_is_looked_for"),
            "There is a prompt ('a cat') but no text encoder",
        ),
        (("--device", "abacus"), "Cannot compute on 'abacus'"),
        (("--offload",), "nothing to offload"),
        (("--offload-blocks",), "expected a GPU. Remove --offload-blocks."),
        (("--source", "missing.png"), "There is nothing at missing.png"),
        (("--before", "missing.png", "--after", str(AFTER)), "Cannot read the picture 'missing.png'"),
        (("--out", "result.gif"), "'result.gif' is not a picture's file name"),
        (("--out", str(SOURCE), "--overwrite"), "would replace a source"),
        (("--adapter", str(AFTER)), "after.png"),
        (("--vae", str(CASE.folder / "transformer.safetensors")), "expected FLUX.1's autoencoder"),
    ],
)
def test_what_is_refused(
    vae: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: tuple[str, ...], says: str
) -> None:
    assert edit(vae, SOURCE, tmp_path / "out.png", *options) == 1
    assert says in refusal(caplog)
    assert files_in(tmp_path) == set()


def test_an_existing_result_is_kept(vae: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "out.png").write_bytes(b"mine")
    assert edit(vae, SOURCE, tmp_path / "out.png") == 1
    assert "out.png already exists" in refusal(caplog)
    assert edit(vae, SOURCE, tmp_path) == 0  # a folder that exists: under the source's name
    assert files_in(tmp_path) == {"out.png", "source.png", "source.comparison.png"}


def test_a_whole_pipeline_with_a_prompt(tmp_path: Path) -> None:
    folder = pipeline_folder(CASE, tmp_path / "pipeline")
    models = (f"--adapter={CASE.folder / 'ip_adapter.bin'}", f"--vision={CASE.folder / 'vision'}", f"--model={folder}")
    pictures = (f"--before={BEFORE}", f"--after={AFTER}", f"--source={SOURCE}")
    results = []
    for prompt in ("a cat", "a dog"):
        out = tmp_path / f"{prompt}.png"
        assert main(["edit", *models, *pictures, *QUICK, f"--out={out}", f"--prompt={prompt}"]) == 0
        results.append(from_pil(Image.open(out)))
    assert results[0].shape == (1, 64, 96, 3)
    assert relative_error(results[0], results[1]) > 1e-3


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_: Image.Image, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(JobError, match=r"Cannot write .*out\.png: No space left on device"):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / "out.png")
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_formats_of_results(tmp_path: Path, suffix: str) -> None:
    picture = Image.open(SOURCE).convert("RGB")
    save_picture(picture, tmp_path / f"out{suffix}")
    written = from_pil(Image.open(tmp_path / f"out{suffix}"))
    assert float((written - from_pil(picture)).abs().max()) <= (0.2 if suffix == ".jpg" else 0.0)


@pytest.mark.parametrize(
    ("names", "results"),
    [
        (("a.jpg", "a.png", "b.png"), ("a.jpg.png", "a.png.png", "b.png")),
        (("A.JPG", "a.bmp", "a.webp"), ("A.JPG.png", "a.bmp.png", "a.webp.png")),
        (("a.comparison.png", "a.png"), ("a.comparison.png.png", "a.png.png")),
    ],
)
def test_sources_of_one_name_keep_their_endings(
    names: tuple[str, ...], results: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in names:
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    jobs = plan_jobs(tmp_path, tmp_path / "out", overwrite=False)
    assert {job.source.name: job.result for job in jobs} == {
        name: tmp_path / "out" / result for name, result in zip(names, results, strict=True)
    }
    (said,) = caplog.messages
    assert all((name in said) == (name != "b.png") for name in names)


def test_places_of_results_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.jpg.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    with pytest.raises(JobError, match=r"'a\.jpg' and 'a\.jpg\.png' would be written to one file"):
        plan_jobs(tmp_path, tmp_path / "out", overwrite=False)
    with pytest.raises(JobError, match="would replace a source"):
        plan_jobs(tmp_path / "a.png", tmp_path, overwrite=True)
    with pytest.raises(JobError, match=r"is a folder, and .* names a file"):
        plan_jobs(tmp_path, tmp_path / "out.png", overwrite=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(JobError, match="holds no pictures"):
        plan_jobs(tmp_path / "empty", tmp_path / "out", overwrite=False)
    assert plan_jobs(tmp_path / "a.png", tmp_path / "b.png", overwrite=False) == [
        EditJob(tmp_path / "a.png", tmp_path / "b.png")
    ]


def test_an_interrupted_folder_goes_on_where_it_was(vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources").mkdir()
    for name in ("a.png", "b.png"):
        Image.open(SOURCE).save(tmp_path / "sources" / name)
    written: list[str] = []

    def interrupted(picture: Image.Image, path: Path, identity: str = "") -> None:
        if path.name == "b.png":
            raise KeyboardInterrupt
        written.append(path.name)
        save_picture(picture, path, identity)

    monkeypatch.setattr(editing, "save_picture", interrupted)
    assert edit(vae, tmp_path / "sources", tmp_path / "out") == 130
    assert written == ["a.comparison.png", "a.png", "b.comparison.png"]
    monkeypatch.undo()
    assert edit(vae, tmp_path / "sources", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == {"a.png", "b.png", "a.comparison.png", "b.comparison.png"}


def test_a_missing_library_is_named() -> None:
    blocked = "import sys; sys.modules['einops'] = None"
    code = f"{blocked}; from relation_tools.__main__ import main; sys.exit(main(sys.argv[1:]))"
    options = [f"--{name}=x" for name in ("before", "after", "source", "out", "model", "adapter", "vision")]
    done = subprocess.run(
        [sys.executable, "-c", code, "edit", *options],
        cwd=GOLDEN.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "This needs einops, which is not installed" in done.stderr and "'.[headless]'" in done.stderr
