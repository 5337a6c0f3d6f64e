"""``python -m relation_tools tune`` and ``encode``, with the golden models and with the small ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from random_weights import random_relation
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tune_runs import AFTER, BEFORE, CASE, arguments, contents, refusal, tune

from benchmarks.landscape_edits import JUDGED_BY, is_right, pair_of, pairs_to_learn
from relation_core.adapter.adapter import open_adapter
from relation_core.relation.relation_file import load_relation, save_relation
from relation_core.scenes.examples import draw_pair
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_core.tuning.learner import Learner
from relation_core.tuning.settings import TuningSettings
from relation_tools.__main__ import main
from relation_tools.diffusers_host import pipeline as pipeline_module
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings
from relation_tools.training.run_state import load_state

ROOT = Path(__file__).resolve().parents[3]
UNSEEN = "invert_lower_half"
"""An edit of a kind that the small model was not trained on."""


@pytest.fixture(scope="module")
def whole(vae: Path, folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is learned with a pair held out, and without an interruption."""
    out = tmp_path_factory.mktemp("whole") / "whole.safetensors"
    torch.set_num_threads(1)
    assert tune(vae, folders, out, "--hold-out=1") == 0
    return out


def test_it_writes_a_relation_with_its_curve_and_its_sheet(
    vae: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "mine.safetensors"
    assert tune(vae, folders, out, "--hold-out=1") == 0
    assert {path.name for path in out.parent.iterdir()} == {out.name, "mine.curve.png", "mine.sheet.png"}
    with safe_open(out, framework="pt") as file:
        (origin,) = json.loads(file.metadata()["learned"])
    assert origin["pairs"] == 2 and origin["model"] == "transformer.safetensors" and origin["prompt"] == ""
    relation = load_relation(out, open_adapter(CASE.folder / "ip_adapter.bin"), "cpu")
    assert relation.pair_weights == (1.0,) and relation.thumbnails.shape == (1, 128, 256, 3)
    with Image.open(out.with_suffix(".sheet.png")) as sheet:
        assert sheet.width > 5 * 128
    edited = tmp_path / "edited.png"
    models = [argument for argument in arguments(vae) if argument.startswith(("--model", "--adapter", "--vi", "--vae"))]
    options = ["--device=cpu", "--long-side=0", "--steps=1", f"--source={folders[0] / '0.png'}"]
    assert main(["edit", *models, *options, f"--relation={out}", f"--out={edited}"]) == 0
    assert edited.is_file()
    with Image.open(tmp_path / "edited.comparison.png") as sheet:
        assert sheet.width > 128 + 2 * 64  # the pair, the source and the result


def options_of(folder: Path, *pairs: tuple[Image.Image, Image.Image]) -> list[str]:
    """Write pairs, and name them."""
    options: list[str] = []
    for pair in pairs:
        for kind, picture in zip(("before", "after"), pair, strict=True):
            path = folder / f"{kind}_{len(options)}.png"
            picture.save(path)
            options.append(f"--{kind}={path}")
    return options


def tune_small(folder: Path, start: str, shown: list[str], *options: str) -> int:
    """Learn with the small model, beginning at what a pair of an edit says: mine.safetensors."""
    files = [f"--adapter={ADAPTER}", f"--vision={VISION}", "--device=cpu"]
    begun = folder / "begun.safetensors"
    assert main(["encode", *files, *options_of(folder, draw_pair(start, 0)), f"--out={begun}"]) == 0
    models = [*files, f"--model={FLUX}", f"--vae={AUTOENCODER}", f"--start={begun}", f"--out={folder / OUT}"]
    return main(["tune", *models, *shown, "--long-side=0", "--batch-size=4", "--sheet-steps=1", *options])


OUT = "mine.safetensors"


def test_learning_that_helps_no_held_out_pair_leaves_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It starts from a flip and learns to invert; what is held out is a flip, which it knew best at the start."""
    (folder := tmp_path / "pairs").mkdir()
    shown = options_of(folder, draw_pair("invert", 1), draw_pair("flip", 2))
    assert tune_small(tmp_path, "flip", shown, "--hold-out=1", "--steps=10") == 1
    assert "lowered the loss on the held-out pairs" in refusal(caplog)
    assert list(tmp_path.glob("mine*")) == []


def test_the_step_that_is_best_on_the_held_out_pair_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its way from an orange to a green sky it comes near to the pair that is held out: halfway between."""
    from relation_tools.tuning import command

    taken: list[torch.Tensor] = []
    learners: list[Learner] = []

    class Recorded(Learner):
        def take_step(self) -> float:
            loss = super().take_step()
            taken.append(self._tokens.detach().clone())
            learners[:] = [self]
            return loss

    monkeypatch.setattr(command, "Learner", Recorded)
    monkeypatch.setattr(command, "TuningSettings", partial(TuningSettings, check_every=1))
    (scene, orange), (_, green) = (draw_pair(f"sky_{colour}", 2) for colour in ("orange", "green"))
    (folder := tmp_path / "pairs").mkdir()
    shown = options_of(folder, draw_pair("sky_green", 1), (scene, Image.blend(orange, green, 0.5)))
    assert tune_small(tmp_path, "sky_orange", shown, "--hold-out=1", "--steps=12", "--learning-rate=0.4") == 0
    losses = dict(learners[0].checks)
    best = min(losses, key=losses.__getitem__)
    assert 0 < best < len(taken) == 12
    assert torch.equal(load_file(tmp_path / OUT)["tokens"], taken[best - 1])
    with safe_open(tmp_path / OUT, framework="pt") as file:
        assert json.loads(file.metadata()["learned"])[0]["steps"] == best


def test_the_same_command_gives_the_same_bits(vae: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    one, two, other = (tmp_path / f"{name}.safetensors" for name in ("one", "two", "other"))
    few = "--steps=2"
    assert tune(vae, folders, one, few) == tune(vae, folders, two, few) == 0
    assert tune(vae, folders, other, few, "--seed=1") == 0
    assert contents(one) == contents(two) != contents(other)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_interrupted_it_goes_on_to_the_same_bits(
    vae: Path,
    folders: tuple[Path, Path],
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stop: int,
) -> None:
    cut = tmp_path / "cut.safetensors"
    from relation_tools.tuning import command

    class Interrupted(command.Learner):
        def take_step(self) -> float:
            if self.step + 1 == stop:  # in the midst of a step
                os.kill(os.getpid(), signal.SIGINT)
            return super().take_step()

    with monkeypatch.context() as patch:
        patch.setattr(command, "Learner", Interrupted)
        assert tune(vae, folders, cut, "--hold-out=1") == 130
    assert not cut.exists()
    state = load_state(cut.with_suffix(".tuning"))
    assert state is not None and state["step"] == stop
    assert tune(vae, folders, cut, "--hold-out=1") == 0
    assert f"Continuing after step {stop}." in caplog.text
    assert contents(cut) == contents(whole)
    assert not cut.with_suffix(".tuning").exists()


def test_another_run_does_not_go_on_from_it(
    vae: Path,
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "mine.safetensors"
    from relation_tools.tuning import command

    def stopped(learner: command.Learner) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(learner)

    original = command.Learner.take_step
    with monkeypatch.context() as patch:
        patch.setattr(command.Learner, "take_step", stopped)
        assert tune(vae, folders, out, "--steps=2") == 130
    assert tune(vae, folders, out, "--steps=2", "--seed=3") == 1
    assert "holds the start of another run" in refusal(caplog)
    assert tune(vae, folders, out, "--steps=2", "--seed=3", "--overwrite") == 0


def test_checkpointing_changes_nothing(
    vae: Path, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    assert tune(vae, folders, one, "--steps=2") == 0
    monkeypatch.setattr(pipeline_module, "_LARGE", 1)
    assert tune(vae, folders, two, "--steps=2") == 0
    torch.testing.assert_close(load_file(one)["tokens"], load_file(two)["tokens"], atol=1e-6, rtol=1e-6)


def test_it_starts_from_a_relation(vae: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    encoded, out = tmp_path / "encoded.safetensors", tmp_path / "mine.safetensors"
    models = [f"--adapter={CASE.folder / 'ip_adapter.bin'}", f"--vision={CASE.folder / 'vision'}", "--device=cpu"]
    pairs = [f"--before={BEFORE}", f"--after={AFTER}"] * 2
    assert main(["encode", *models, *pairs, "--weight=1", "--weight=3", f"--out={encoded}"]) == 0
    assert main(["encode", *models, *pairs, f"--out={encoded}"]) == 1  # it is there
    assert tune(vae, folders, out, f"--start={encoded}", "--steps=1", "--learning-rate=1e-9") == 0
    start, learned = load_file(encoded), load_file(out)
    assert learned["weights"].tolist() == [1.0, 3.0]
    torch.testing.assert_close(learned["tokens"], start["tokens"], atol=1e-6, rtol=0)
    assert not torch.equal(learned["thumbnails"], start["thumbnails"])


def test_an_encoded_relation_edits_as_its_pairs_do(vae: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoded = tmp_path / "encoded.safetensors"
    shown = [f"--before={BEFORE}", f"--after={AFTER}"]
    models = [argument for argument in arguments(vae) if argument.startswith(("--model", "--adapter", "--vi", "--vae"))]
    assert main(["encode", *models[1:3], "--device=cpu", *shown, f"--out={encoded}"]) == 0
    results: list[bytes] = []
    for number, relation in enumerate([shown, [f"--relation={encoded}"]]):
        out = tmp_path / f"{number}.png"
        source = ["--device=cpu", "--long-side=64", "--steps=2", f"--source={CASE.folder / 'source.png'}"]
        assert main(["edit", *models, *source, *relation, f"--out={out}", "--no-comparison"]) == 0
        results.append(Image.open(out).tobytes())
    assert results[0] == results[1]
    assert (
        main(["edit", *models, "--source=x.png", *shown, f"--relation={encoded}", f"--out={tmp_path / 'x.png'}"]) == 1
    )


def with_and_without_a_speck(folder: Path) -> dict[str, Path]:
    fine = Image.open(AFTER).convert("RGB").resize((2048, 2048))
    speck = fine.copy()
    speck.putpixel((5, 5), (fine.getpixel((5, 5))[0] ^ 1, *fine.getpixel((5, 5))[1:]))
    return written(folder, {"FINE": fine, "SPECK": speck})


def differently_painted_where_transparent(folder: Path) -> dict[str, Path]:
    colours = {"CLEAR": (0, 0, 0, 0), "PAINTED": (200, 30, 30, 0)}
    return written(folder, {name: Image.new("RGBA", (64, 64), colour) for name, colour in colours.items()})


def written(folder: Path, pictures: dict[str, Image.Image]) -> dict[str, Path]:
    paths = {name: folder / f"{name}.png" for name in pictures}
    for name, picture in pictures.items():
        picture.save(paths[name])
    return paths


def relation_of_65(path: Path) -> Path:
    """A relation of one pair more than any can have, of the golden adapter."""
    adapter = open_adapter(CASE.folder / "ip_adapter.bin")
    save_relation(random_relation(adapter, pairs=64), path)
    tensors = {name: torch.cat([part, part[:1]]) for name, part in load_file(path).items()}
    with safe_open(path, framework="pt") as file:
        save_file(tensors, path, file.metadata())
    return path


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--before", str(BEFORE)), "There are 1 pictures before and 0 after"),
        ((), "Got no pairs, or pairs twice"),
        (("--before", str(BEFORE), "--after", str(BEFORE)), "The pictures of pair 1 are equal"),
        (("--before", str(BEFORE), "--after", "WIDER"), "expected one size"),
        (("--before", "FOLDER", "--after", "EMPTY"), "'0.png' is in one of them only"),
        (("--before", "EMPTY", "--after", "EMPTY"), "they hold no pictures"),
        (("--before", "FINE", "--after", "SPECK", "--long-side", "16"), "pair 1 are equal at the size that is learned"),
        (("--before", "FOLDER", "--after", "AFTER", "--hold-out", "3"), "Got 3 pairs to hold out of 3"),
        (("--before", "FOLDER", "--after", "AFTER", "--learning-rate", "1e6"), "lower the learning rate"),
        (("--before", "FOLDER", "--after", "AFTER", "--prompt", "a cat"), "no text encoder"),
        (("--before", "FOLDER", "--after", "AFTER", "--start", "OTHER"), "was made with the adapter"),
        (("--before", "FOLDER", "--after", "AFTER", "--out", "mine.png"), "expected it to end in .safetensors"),
        (("--dataset", "missing.jsonl"), "Cannot read"),
        (("--before", "FIRST", "--after", "MIRRORED") * 2 + ("--hold-out", "1"), "Pair 2, which is held out, has the"),
        (("--before", "CLEAR", "--after", "PAINTED"), "The pictures of pair 1 are equal, which shows no edit"),
        (("--before", "FOLDER", "--after", "AFTER", "--start", "MANY"), "65"),
        (("--before", "FOLDER", "--after", "AFTER", "--hold-out", "1", "--learning-rate", "1e5"), "lower the learning"),
    ],
)
def test_what_is_refused_leaves_no_file(
    vae: Path,
    folders: tuple[Path, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    options: tuple[str, ...],
    says: str,
) -> None:
    (tmp_path / "empty").mkdir()
    Image.open(AFTER).resize((70, 64)).save(tmp_path / "wider.png")
    places = {"FOLDER": folders[0], "AFTER": folders[1], "EMPTY": tmp_path / "empty", "WIDER": tmp_path / "wider.png"}
    places |= {"FIRST": folders[0] / "0.png", "MIRRORED": folders[1] / "0.png"}
    if "SPECK" in options:
        places |= with_and_without_a_speck(tmp_path)
    if "CLEAR" in options:
        places |= differently_painted_where_transparent(tmp_path)
    if "MANY" in options:
        places["MANY"] = relation_of_65(tmp_path / "many.safetensors")
    if "OTHER" in options:
        places["OTHER"] = tmp_path / "other.safetensors"
        small = [f"--adapter={ADAPTER}", f"--vision={VISION}", "--device=cpu", f"--before={BEFORE}", f"--after={AFTER}"]
        assert main(["encode", *small, f"--out={places['OTHER']}"]) == 0
    there = {path.name for path in tmp_path.iterdir()}
    out = [] if "--out" in options else [f"--out={tmp_path / 'mine.safetensors'}"]
    assert main(arguments(vae, *out, *(str(places.get(option, option)) for option in options))) == 1
    assert says in refusal(caplog)
    assert {path.name for path in tmp_path.iterdir()} == there


def test_a_dataset_gives_the_pairs_of_one_task(
    vae: Path, folders: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = folders[0].parent
    lines = [
        {
            "cond1": f"before/{cond}.png",
            "cond2": f"after/{cond}.png",
            "source": f"before/{source}.png",
            "target": f"after/{source}.png",
            "text": "",
        }
        for cond, source in ((0, 1), (1, 0))
    ]
    file = root / "train.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    by_file, by_name = tmp_path / "file.safetensors", tmp_path / "name.safetensors"
    assert main(arguments(vae, f"--dataset={file}", f"--out={by_file}", "--steps=1")) == 0
    pairs = [f"--{kind}={root / kind / f'{number}.png'}" for number in (1, 0) for kind in ("before", "after")]
    assert main(arguments(vae, *pairs, f"--out={by_name}", "--steps=1")) == 0
    assert contents(by_file) == contents(by_name)
    assert main(arguments(vae, f"--dataset={file}", "--task=mirror", f"--out={tmp_path / 'x.safetensors'}")) == 1
    assert "Name one with --task" in refusal(caplog)


@pytest.mark.slow
def test_an_edit_that_the_small_model_never_saw_is_learned(tmp_path: Path) -> None:
    """Right on 24 landscapes that were not learned from, held against near misses of what is most like it."""
    pairs, out = pairs_to_learn(UNSEEN, 4), tmp_path / "learned.safetensors"
    models = [f"--model={FLUX}", f"--adapter={ADAPTER}", f"--vision={VISION}", f"--vae={AUTOENCODER}"]
    told = [*models, *options_of(tmp_path, *pairs), f"--out={out}", "--long-side=0"]
    command = [sys.executable, "-m", "relation_tools", "tune", *told]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pipeline = RelationPipeline(load_models(ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER), torch.float32), "cpu")
    relations = {"learned": pipeline.load_relation(out), "encoded": pipeline.relation(pairs, [1.0] * len(pairs))}
    right = dict.fromkeys(relations, 0)
    for index in range(JUDGED_BY, JUDGED_BY + 24):
        settings = EditSettings(steps=STEPS, long_side=0, seed=index)
        source, _ = pair_of(UNSEEN, index)
        for name, relation in relations.items():
            right[name] += is_right(UNSEEN, index, pipeline.edit(relation, source, pipeline.prompt(""), settings))
    assert right["encoded"] <= 6
    assert right["learned"] >= 20
