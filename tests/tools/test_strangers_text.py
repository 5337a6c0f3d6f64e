"""What strangers wrote is shown on one line, with nothing in it that a terminal would obey."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from corrupted_bytes import headed
from random_weights import random_relation, small_adapter
from safetensors.torch import save_file

from relation_core.errors import CheckpointError, PictureError, RelationAdapterError
from relation_tools.__main__ import main
from relation_tools.weights.inspection import inspect_file

EVIL = "\x1b[2J\x1b]0;x\x07\u202e\u2066\x00\x9b31m\u2028"
FORGED = "no\nIt fits FLUX.1-dev."


@pytest.mark.parametrize(
    "error", [RelationAdapterError(EVIL), CheckpointError(f"a{EVIL}"), PictureError(EVIL, EVIL, "")]
)
def test_errors_show_escapes(error: RelationAdapterError) -> None:
    assert str(error).isprintable() and "\\x1b[2J" in str(error) and "\\u202e" in str(error)


def test_errors_keep_their_lines_and_letters() -> None:
    assert str(RelationAdapterError("naïve 中文\nsecond")) == "naïve 中文\nsecond"


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
    save_file(tensors, path, {**metadata, "author": FORGED, EVIL.replace("\x00", ""): EVIL.replace("\x00", "")})
    monkeypatch.setattr(inspection, "RELEASED", relation.config)
    lines = inspect_file(path).split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines.count("It fits FLUX.1-dev.") == 1
    assert any("author=no\\nIt fits" in line for line in lines)


def test_the_command_shows_names_in_a_file_as_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(headed(json.dumps({EVIL: {"dtype": EVIL}}).encode()))
    assert main(["weights", "inspect", str(path)]) == 1
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in (shown.out + shown.err).split("\n"))
