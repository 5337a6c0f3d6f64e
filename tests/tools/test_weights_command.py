"""``python -m relation_tools weights``: convert and inspect."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from random_weights import random_relation, random_weights, write_bin, write_safetensors
from safetensors import safe_open

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import RelationConfig, expected_shapes
from relation_core.errors import CheckpointError
from relation_core.progress import Silent
from relation_core.relation.relation_file import save_relation
from relation_tools.__main__ import main
from relation_tools.commands import weights as command
from relation_tools.weights import conversion, inspection
from relation_tools.weights.conversion import convert_adapter
from tests.counted_progress import CountedProgress
from tests.full_disk import room_for

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
CONFIG = RelationConfig(blocks=3, heads=2, head_dim=128, tokens=4, text_dim=24, vision_dim=12, projection_dim=20)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_bin(tmp_path / "adapter.bin", random_weights(CONFIG, dtype=torch.bfloat16), module=True)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "converted" / "adapter.safetensors"


@pytest.fixture(autouse=True)
def folder(target: Path) -> Path:
    target.parent.mkdir()
    return target.parent


def convert(source: Path, target: Path, *options: str) -> int:
    return main(["weights", "convert", str(source), str(target), *options])


def refusal(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    return record.getMessage()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("piece_bytes", [1, 100, 16 << 20], ids=["a row", "some rows", "whole"])
@pytest.mark.parametrize("kind", ["module.", "flat", "transposed", "legacy"])
def test_the_same_weights(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, piece_bytes: int, kind: str
) -> None:
    monkeypatch.setattr(conversion, "_PIECE_BYTES", piece_bytes)
    weights = random_weights(CONFIG, dtype=dtype)
    stored = {name: tensor.t().contiguous().t() if tensor.ndim > 1 else tensor for name, tensor in weights.items()}
    if kind == "flat":
        source = write_safetensors(tmp_path / "adapter.sft", weights)
    else:
        stored = stored if kind == "transposed" else weights
        source = write_bin(tmp_path / "adapter.bin", stored, module=kind == "module.", legacy=kind == "legacy")
    assert convert(source, target) == 0
    with safe_open(target, framework="pt") as file:
        assert list(file.keys()) == sorted(weights)
        for name, expected in weights.items():
            found = file.get_tensor(name)
            assert found.dtype == dtype
            assert torch.equal(found.view(torch.uint8), expected.view(torch.uint8))
        found = file.metadata()
        needed = {"format": "relation_adapter", "version": "1", "head_dim": "128"}
        assert {key: value for key, value in found.items() if not key.startswith(("modelspec.", "ssmd_"))} == needed
        assert found["modelspec.title"] == "RelationAdapter" and found["modelspec.base_model"] == "flux-1-dev"
        assert {"modelspec.description", "modelspec.usage_hint", "modelspec.tags"} < set(found)
        assert "modelspec.date" not in found  # converted twice, the bytes are the same
    assert os.listdir(target.parent) == [target.name]


def test_the_header(source: Path, target: Path) -> None:
    assert convert(source, target) == 0
    content = target.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    assert list(header) == sorted(expected_shapes(CONFIG))
    end = 0
    for entry in header.values():
        assert entry["data_offsets"][0] == end
        end = entry["data_offsets"][1]
    assert len(content) == 8 + length + end


def test_the_same_relation(source: Path, target: Path) -> None:
    assert convert(source, target) == 0
    before, after = open_adapter(source), open_adapter(target)
    assert (after.fingerprint, after.config) == (before.fingerprint, before.config)
    for dtype in (torch.float32, torch.bfloat16):
        expected, found = (random_relation(adapter, pairs=2, dtype=dtype) for adapter in (before, after))
        assert torch.equal(found.tokens, expected.tokens)
        assert torch.equal(found.keys_values.keys, expected.keys_values.keys)
        assert torch.equal(found.keys_values.values, expected.keys_values.values)


def test_the_width_of_heads_is_kept(tmp_path: Path, target: Path) -> None:
    config = RelationConfig(**{**vars(CONFIG), "head_dim": 16})
    source = write_safetensors(tmp_path / "adapter.safetensors", random_weights(config), head_dim=16)
    assert convert(source, target) == 0
    assert open_adapter(target).config == config


def test_progress_is_complete(source: Path, target: Path) -> None:
    progress = CountedProgress()
    convert_adapter(open_adapter(source), target, False, progress)
    assert progress.complete


def test_the_file_can_be_read_by_others(source: Path, target: Path) -> None:
    before = os.umask(0o022)
    try:
        assert convert(source, target) == 0
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o644


def test_an_existing_file_is_replaced_only_on_request(
    source: Path, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target.write_bytes(b"precious")
    assert convert(source, target) == 1
    assert target.read_bytes() == b"precious"
    assert "already exists" in refusal(caplog) and "--overwrite" in refusal(caplog)
    assert convert(source, target, "--overwrite") == 0
    assert open_adapter(target).fingerprint == open_adapter(source).fingerprint


def test_the_source_is_not_its_own_target(source: Path, target: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert convert(source, target) == 0
    content = target.read_bytes()
    assert convert(target, target.parent / ".." / target.parent.name / target.name, "--overwrite") == 1
    assert "is the file to be converted" in refusal(caplog)
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adapter.bin", "does not end in .safetensors"),
        ("missing/adapter.safetensors", "no folder"),
        ("folder.safetensors", "is a folder"),
    ],
)
def test_targets_that_cannot_be(
    source: Path, folder: Path, caplog: pytest.LogCaptureFixture, name: str, message: str
) -> None:
    (folder / "folder.safetensors").mkdir()
    assert convert(source, folder / name, "--overwrite") == 1
    assert message in refusal(caplog)
    assert os.listdir(folder) == ["folder.safetensors"]


def test_a_source_that_is_no_adapter(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert convert(GOLDEN / "one_head" / "pytorch_lora_weights.safetensors", target) == 1
    assert "is a LoRA" in refusal(caplog)
    assert not any(target.parent.iterdir())


def test_too_little_room(
    source: Path, target: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(tensor.nbytes for tensor in open_adapter(source).weights().values())
    usage = shutil.disk_usage(target.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size))  # not enough for the header
    assert convert(source, target) == 1
    assert "of room" in refusal(caplog) and str(target.parent) in refusal(caplog)
    assert not any(target.parent.iterdir())


def test_a_disk_that_fills_up(tmp_path: Path, target: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The system refuses to write on, half-way: the old file stays as it was, and nothing is left beside it."""
    source = write_bin(tmp_path / "adapter.bin", random_weights(CONFIG))
    target.write_bytes(b"precious")
    with room_for(source.stat().st_size // 2):
        assert convert(source, target, "--overwrite") == 1
    assert "could not be written (File too large)" in refusal(caplog)
    assert target.read_bytes() == b"precious"
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [1, 20])
def test_an_interrupt(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, signal_number: signal.Signals, at: int
) -> None:
    class Interrupting(Silent):
        steps = 0

        def step(self) -> None:
            self.steps += 1
            if self.steps == at:
                assert any(target.parent.iterdir())  # the unfinished file
                os.kill(os.getpid(), signal_number)

    monkeypatch.setattr(command, "progress_bar", lambda *_: nullcontext(Interrupting()))
    before = signal.getsignal(signal.SIGTERM)
    assert convert(source, target) == 130
    assert not any(target.parent.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("place", [-1, -1000])
def test_what_is_read_back_otherwise_is_not_kept(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    write = conversion._write

    def write_badly(file, *arguments) -> None:  # noqa: ANN001, ANN002
        write(file, *arguments)
        file.seek(place, os.SEEK_END)
        byte = Path(file.name).read_bytes()[place]
        file.write(bytes([byte ^ 1]))
        file.flush()

    monkeypatch.setattr(conversion, "_write", write_badly)
    with pytest.raises(CheckpointError, match=r"in .* does not match what was written"):
        convert_adapter(open_adapter(source), target, False, Silent())
    assert not any(target.parent.iterdir())


MEMORY_SCRIPT = """
import sys
from pathlib import Path
from relation_core.adapter.adapter import open_adapter
from relation_core.progress import Silent
from relation_tools.weights.conversion import convert_adapter
def held():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) << 10
most = 0
class Watch(Silent):
    def step(self):
        global most
        most = max(most, held())
for source, target in zip(sys.argv[1::2], sys.argv[2::2]):
    adapter = open_adapter(source)
    before = held()
    convert_adapter(adapter, Path(target), False, Watch())
    print(most - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_weights_are_never_held(tmp_path: Path, folder: Path) -> None:
    config = RelationConfig(
        blocks=2, heads=2, head_dim=128, tokens=24, text_dim=4096, vision_dim=16, projection_dim=512
    )
    weights = random_weights(config, dtype=torch.bfloat16)  # 109 MB
    sources = (write_bin(tmp_path / "adapter.bin", weights), write_safetensors(tmp_path / "one.safetensors", weights))
    files = [str(path) for source in sources for path in (source, folder / f"of{source.suffix}.safetensors")]
    command = [sys.executable, "-c", MEMORY_SCRIPT, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == 2 and max(map(int, done.stdout.split())) < 32 << 20
    assert all(path.stat().st_size > 3 * (32 << 20) for path in folder.iterdir())


def inspected(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["weights", "inspect", str(path)])
    return status, capsys.readouterr().out


@pytest.mark.parametrize("converted", [False, True])
def test_inspect_an_adapter(
    source: Path,
    target: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    converted: bool,
) -> None:
    monkeypatch.setattr(inspection, "RELEASED", CONFIG)
    if converted:
        assert convert(source, target) == 0
    adapter = open_adapter(target if converted else source)
    status, text = inspected(adapter.path, capsys)
    assert status == 0
    count = sum(tensor.numel() for tensor in adapter.weights().values())
    for part in (
        str(adapter.path),
        f"12, {count:,} values in bfloat16",
        "a RelationAdapter",
        "3 blocks, 2 heads of 128, text width 24",
        "4 tokens a picture, from vision features of width 12",
        adapter.fingerprint,
        "It fits FLUX.1-dev.",
    ):
        assert part in text
    assert ("format=relation_adapter" in text) == converted


def test_inspect_the_released_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, shape in expected_shapes(inspection.RELEASED).items():
        group, _, rest = name.partition(".")
        state[group][rest] = torch.empty(shape, dtype=torch.bfloat16)
    path = tmp_path / "ip_adapter-100000.bin"
    with torch.serialization.skip_data():  # a file with holes: 5.29 GB long, next to nothing on disk
        torch.save(state, path)
    status, text = inspected(path, capsys)
    assert status == 0
    assert "5.291 GB" in text and "2,645,600,512 values in bfloat16" in text and "It fits FLUX.1-dev." in text


@pytest.mark.parametrize(
    ("size", "value", "found"),
    [("blocks", 2, "2 blocks"), ("heads", 1, "1 heads of 128"), ("text_dim", 8, "text width 8")],
)
def test_inspect_an_adapter_for_another_model(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    size: str,
    value: int,
    found: str,
) -> None:
    monkeypatch.setattr(inspection, "RELEASED", CONFIG)
    config = RelationConfig(**{**vars(CONFIG), size: value})
    path = write_bin(tmp_path / "other.bin", random_weights(config))
    status, text = inspected(path, capsys)
    assert (status, text) == (1, "")
    assert "not for FLUX.1-dev" in refusal(caplog) and found in refusal(caplog)


def test_inspect_a_vision_model(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "RELEASED", RelationConfig(**{**vars(CONFIG), "vision_dim": 32}))
    status, text = inspected(GOLDEN / "one_head" / "vision" / "model.safetensors", capsys)
    assert status == 0
    assert "a SigLIP vision model with its pooling head" in text
    assert "3 layers of width 32, pictures of 56 pixels in patches of 14" in text
    assert "fits the released adapter" in text


def test_inspect_a_relation(
    source: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = open_adapter(source)
    path = tmp_path / "relation.safetensors"
    save_relation(random_relation(adapter, pairs=2), path)
    assert inspected(path, capsys) == (1, "")
    assert "is a relation, but its tokens are 24 wide" in refusal(caplog) and adapter.fingerprint in refusal(caplog)
    monkeypatch.setattr(inspection, "RELEASED", CONFIG)
    status, text = inspected(path, capsys)
    assert status == 0
    assert "a relation of 2 exemplar pairs" in text and adapter.fingerprint in text and "It fits FLUX.1-dev." in text


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("vision/model.safetensors", "its width is 32; the released adapter for FLUX.1-dev expects 1152"),
        ("ip_adapter.bin", "a RelationAdapter, but not for FLUX.1-dev"),
        ("pytorch_lora_weights.safetensors", "is a LoRA, not a RelationAdapter"),
        ("transformer.safetensors", "is a Flux diffusion model, not a RelationAdapter"),
        ("after.png", "ends in '.png'"),
        ("nothing.bin", "There is nothing at"),
    ],
)
def test_inspect_what_does_not_fit(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], file: str, message: str
) -> None:
    status, text = inspected(GOLDEN / "one_head" / file, capsys)
    assert (status, text) == (1, "")
    assert message in refusal(caplog)


def test_the_command_line(tmp_path: Path) -> None:
    """The real one, in a process of its own: help names the commands, and errors are one line and status 1."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "relation_tools", "weights", *map(str, arguments)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    shown = run("--help")
    assert shown.returncode == 0 and "convert" in shown.stdout and "inspect" in shown.stdout
    failed = run("download", "--to", tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"ip_adapter-100000.bin is not in {tmp_path}") and failed.stderr.count("\n") == 1
