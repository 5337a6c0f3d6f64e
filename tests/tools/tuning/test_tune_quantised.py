"""``tune`` through a quantised base model: it learns what the plain one teaches, and resumes to the same bits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from gguf_writing import decoded, flux_gguf
from random_weights import relative_error
from safetensors.torch import save_file
from tune_runs import CASE, contents, tune

from relation_tools.diffusers_host.settings import QUANTIZATIONS
from relation_tools.tuning import command

Pairs = tuple[Path, Path]
PLAIN = CASE.folder / "transformer.safetensors"
ERRORS = {"gguf": 0.02, "int8": 0.02, "fp8": 0.08, "nf4": 0.2}
"""Largest error of the velocity, as in test_quantised.py. A loss, its square, may be off by twice as much."""

LIKENESS = {"gguf": 0.99, "int8": 0.99, "fp8": 0.97, "nf4": 0.9}
"""Least cosine between what both learn; AdamW moves a token whose gradient is near 0 either way."""


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flux_gguf(tmp_path_factory.mktemp("gguf") / "flux.gguf", PLAIN)


def learned(vae: Path, folders: Pairs, out: Path, *options: str) -> tuple[list[float], torch.Tensor]:
    """The loss of every step, and how far the tokens moved."""
    learners: list[tuple[command.Learner, torch.Tensor]] = []

    class Recorded(command.Learner):
        def take_step(self) -> float:
            if not learners:
                learners.append((self, self.tokens))
            return super().take_step()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Learner", Recorded)
        assert tune(vae, folders, out, *options) == 0
    ((learner, start),) = learners
    return learner.losses, learner.tokens - start


def through(kind: str, gguf: Path) -> str:
    return f"--model={gguf}" if kind == "gguf" else f"--quantize={kind}"


@pytest.mark.parametrize("kind", ["gguf", *QUANTIZATIONS])
def test_it_learns_nearly_what_the_plain_model_teaches(
    vae: Path, folders: Pairs, gguf: Path, tmp_path: Path, kind: str
) -> None:
    losses, moved = learned(vae, folders, tmp_path / "plain.safetensors")
    found, same = learned(vae, folders, tmp_path / "quantised.safetensors", through(kind, gguf))
    off = [abs(one - other) / other for one, other in zip(found, losses, strict=True)]
    likeness = float(torch.cosine_similarity(moved.flatten(), same.flatten(), 0))
    print(f"\n{kind}: losses off by {max(off):.2%}, steps alike to {likeness:.4f}")
    assert 0 < max(off) < 2 * ERRORS[kind]
    assert likeness > LIKENESS[kind]


def test_it_learns_what_the_decoded_values_teach(vae: Path, folders: Pairs, gguf: Path, tmp_path: Path) -> None:
    """But for the float16 in which diffusers decodes a GGUF."""
    save_file(decoded(gguf), tmp_path / "decoded.safetensors")
    losses, moved = learned(vae, folders, tmp_path / "one.safetensors", f"--model={tmp_path / 'decoded.safetensors'}")
    found, same = learned(vae, folders, tmp_path / "two.safetensors", f"--model={gguf}")
    assert found == pytest.approx(losses, rel=2e-3)
    assert relative_error(same, moved) < 0.02


@pytest.mark.parametrize("kind", ["gguf", "int8"])
def test_interrupted_it_goes_on_to_the_same_bits(
    vae: Path, folders: Pairs, gguf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"

    class Interrupted(command.Learner):
        def take_step(self) -> float:
            if self.step == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return super().take_step()

    assert tune(vae, folders, whole, through(kind, gguf), "--steps=3") == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Learner", Interrupted)
        assert tune(vae, folders, cut, through(kind, gguf), "--steps=3") == 130
    assert not cut.exists()
    assert tune(vae, folders, cut, through(kind, gguf), "--steps=3") == 0
    assert "Continuing after step 2." in caplog.text
    assert contents(cut) == contents(whole)


def test_a_state_of_the_plain_model_is_not_gone_on_with(vae: Path, folders: Pairs, gguf: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"

    class Interrupted(command.Learner):
        def take_step(self) -> float:
            os.kill(os.getpid(), signal.SIGINT)
            return super().take_step()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Learner", Interrupted)
        assert tune(vae, folders, out) == 130
    for kind in ("gguf", "int8"):
        assert tune(vae, folders, out, through(kind, gguf)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tuning"]
