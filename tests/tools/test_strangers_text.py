"""What strangers wrote is shown on one line, with nothing in it that a terminal would obey."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from corrupted_bytes import headed
from PIL import Image
from random_weights import random_relation, small_adapter
from safetensors.torch import save_file

from relation_core.errors import CheckpointError, PictureError, RelationAdapterError
from relation_tools.__main__ import GROUPS, main
from relation_tools.weights.inspection import inspect_file

EVIL = "\x1b[2J\x1b]0;x\x07\u202e\u2066\x00\x9b31m\u2028"


@pytest.mark.parametrize(
    "error", [RelationAdapterError(EVIL), CheckpointError(f"a{EVIL}"), PictureError(EVIL, EVIL, "")]
)
def test_errors_show_escapes(error: RelationAdapterError) -> None:
    assert str(error).isprintable() and "\\x1b[2J" in str(error) and "\\u202e" in str(error)


def test_errors_are_one_line_and_keep_their_letters() -> None:
    assert str(RelationAdapterError("naïve 中文\nNo problems.")) == "naïve 中文\\nNo problems."


def test_inspect_shows_metadata_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relation_tools.weights import inspection

    relation = random_relation(small_adapter(tmp_path))
    tensors = {
        "tokens": relation.tokens,
        "weights": torch.ones(1, dtype=torch.float64),
        "thumbnails": relation.thumbnails,
    }
    metadata = {"format": "relation_adapter.relation", "version": "1", "adapter": relation.fingerprint}
    path = tmp_path / f"evil{chr(27)}[31m.safetensors"
    save_file(
        tensors,
        path,
        {**metadata, "author": "no\nIt fits FLUX.1-dev.", EVIL.replace("\x00", ""): EVIL.replace("\x00", "")},
    )
    monkeypatch.setattr(inspection, "RELEASED", relation.config)
    lines = inspect_file(path)
    assert all(line.isprintable() for line in lines)
    assert lines.count("It fits FLUX.1-dev.") == 1
    assert any("author=no\\nIt fits" in line for line in lines)


@contextmanager
def its_own_log() -> Generator[None]:
    """Let a command show its log as it does outside of tests, which have handlers of their own."""
    root = logging.getLogger()
    kept, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = kept


def shown(capsys: pytest.CaptureFixture[str], *arguments: object, named: bool = True) -> str:
    """All that a command shows; none of it but line ends is anything that a terminal would obey."""
    with its_own_log():
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    lines = (said.out + said.err).replace("\r", "\n").split("\n")  # progress bars begin their line anew
    assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()]
    assert not any(line.strip() in FORGED.split("\n")[1:] for line in lines), lines
    assert not named or "no\\n" in said.out + said.err, said
    return said.out + said.err


LINES = ("It fits FLUX.1-dev.", "All is well.", "2 samples on it", "all tasks")
FORGED = "no\n" + "\n".join(LINES) + "\n" + EVIL.replace("\x00", "")
NAME = FORGED.replace("/", "")


def dataset(folder: Path) -> Path:
    """A run-ready dataset in which every name and every text is forged."""
    pictures = folder / NAME
    pictures.mkdir(parents=True)
    lines: list[str] = []
    for number in range(2):
        names = {key: f"{NAME}/{number} {key}.png" for key in ("cond1", "cond2", "source", "target")}
        for name in names.values():
            Image.new("RGB", (16, 16), (number, 9, 9)).save(folder / name)
        lines.append(json.dumps({**names, "text": FORGED}))
    (folder / f"{NAME}.jsonl").write_text("\n".join(lines))
    (folder / "tasks.json").write_text(json.dumps({FORGED: {"folder": NAME, "category": FORGED}}))
    return folder / f"{NAME}.jsonl"


def test_the_command_shows_names_in_a_file_as_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(headed(json.dumps({FORGED: {"dtype": FORGED}}).encode()))
    shown(capsys, "weights", "inspect", path)
    shown(capsys, "weights", "convert", path, tmp_path / f"{NAME}.safetensors")
    shown(capsys, "weights", "inspect", tmp_path / NAME)


@pytest.mark.parametrize("what", ["stats", "validate", "sheet", "stats of broken pictures", "validate broken pictures"])
def test_listings_of_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    file = dataset(tmp_path / "data")
    if "broken" in what:
        for picture in (tmp_path / "data").rglob("0*.png"):
            picture.write_bytes(b"no picture")
    command = what.split(maxsplit=1)[0]
    shown(capsys, "dataset", command, file, *([tmp_path / f"{NAME}.png"] if command == "sheet" else []))


@pytest.mark.parametrize("field", ["cond1", "source", "text"])
def test_broken_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str) -> None:
    file = dataset(tmp_path / "data")
    sample = json.loads(file.read_text().split("\n")[0])
    sample[field] = 5 if field == "text" else f"/{FORGED}"
    file.write_text(json.dumps(sample))
    for command in ("stats", "validate"):
        shown(capsys, "dataset", command, file)


def test_builds_and_their_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tmp_path / NAME
    pairs.mkdir()
    for number in range(4):
        Image.effect_noise((32, 16), 50 + number).convert("RGB").save(pairs / f"{number}.png")
    entries = [{"img_name": f"{NAME}/{number}.png", "edit_instruction": FORGED} for number in range(4)]
    entries += [
        {"img_name": f"/{FORGED}", "edit_instruction": FORGED},
        {"img_name": FORGED, "edit_instruction": FORGED},
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, entries)))
    out = tmp_path / f"out {NAME}"
    shown(capsys, "dataset", "build", tmp_path / "pairs.jsonl", out, "--test-pairs", 2, "--processes", 1)
    record = next((out / ".build" / "split").iterdir())
    record.write_text("{")
    shown(capsys, "dataset", "build", tmp_path / "pairs.jsonl", out, "--test-pairs", 2, "--processes", 1)
    (tmp_path / "pairs.jsonl").write_text(json.dumps({**entries[-1], "img_name": f"/{FORGED}"}))
    shown(capsys, "dataset", "build", tmp_path / "pairs.jsonl", out, "--test-pairs", 2, named=False)
    table = tmp_path / "table.json"
    table.write_text(json.dumps({FORGED: 5}))
    shown(capsys, "dataset", "build", tmp_path / NAME / "nothing", out, "--categories", table, named=False)


def test_scores_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = dataset(tmp_path / "data")
    folder = tmp_path / f"run {NAME}"
    (folder / "results").mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(folder / "results" / "000000.png")
    (folder / "results" / "000001.png").write_bytes(b"no picture")
    record = {"samples": hashlib.sha256(file.read_bytes()).hexdigest()}
    (folder / "run.json").write_text(json.dumps(record))
    entry = {"event": "failed", "sample": 1, "server": FORGED, "prompt": FORGED, "message": FORGED}
    (folder / "journal.jsonl").write_text(json.dumps(entry) + "\n{\n")
    shown(capsys, "evaluate", "score", file, folder)
    page = tmp_path / f"{NAME}.html"
    shown(capsys, "evaluate", "report", file, folder, page)
    text = page.read_text()
    assert not {"\x1b", "\u202e", "\u2066"} & set(text) and "\\u202e" in text
    (folder / "run.json").write_text("{")
    shown(capsys, "evaluate", "score", file, folder)
    shown(capsys, "evaluate", "report", file, folder, page)


def test_settings_and_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / f"{NAME}.toml"
    settings.write_text(f"output = 5\n{json.dumps(EVIL.replace(chr(0), ''))} = 1\n")
    shown(capsys, "train", settings)
    sources = tmp_path / "sources"
    sources.mkdir()
    Image.new("RGB", (16, 16)).save(sources / f"{NAME}.png")
    Image.new("RGB", (16, 16), (9, 9, 9)).save(sources / f"after {NAME}.png")
    (sources / f"{NAME}.txt").write_text("x")
    pictures = ("--before", sources / f"{NAME}.png", "--after", sources / f"after {NAME}.png")
    missing = tmp_path / NAME
    models = ("--model", missing, "--adapter", missing, "--vision", missing)
    for command in (
        ("edit", "--source", sources, "-o", tmp_path / f"out {NAME}", *pictures, *models, "--vae", missing),
        ("encode", *pictures, "--adapter", missing, "--vision", missing, "-o", tmp_path / f"{NAME}.safetensors"),
        ("tune", *pictures, *models, "--vae", missing, "-o", tmp_path / f"{NAME}.safetensors"),
        ("measure", missing, *models, "--vae", missing, "--cache", tmp_path / "cache"),
    ):
        shown(capsys, *command)


@pytest.mark.parametrize("what", ["autoencoder", "vision"])
def test_pictures_to_pretrain_on(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    pictures = tmp_path / NAME
    few = ("--steps", 1, "--batch-size", 1)
    shown(capsys, "pretrain", what, tmp_path / f"out {NAME}", "--pictures", pictures, *few)
    pictures.mkdir()
    (pictures / f"{NAME}.txt").write_text("x")
    shown(capsys, "pretrain", what, tmp_path / f"out {NAME}", "--pictures", pictures, *few)
    (pictures / f"{NAME}.png").write_bytes(b"no picture")
    shown(capsys, "pretrain", what, tmp_path / f"out {NAME}", "--pictures", pictures, *few)
    (tmp_path / f"file {NAME}").write_bytes(b"")
    shown(capsys, "pretrain", what, tmp_path / f"file {NAME}", "--pictures", pictures, *few)


def test_every_command_is_tried() -> None:
    """A new group of commands belongs above."""
    assert set(GROUPS) == {"dataset", "edit", "encode", "evaluate", "measure", "pretrain", "train", "tune", "weights"}
