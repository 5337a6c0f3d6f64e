"""Settings files are read whole, or refused with what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_run import ROOT, SmallRun, as_toml

from relation_tools.training.settings import RunSettings
from relation_tools.training.settings_file import SettingsError, read_settings

LEAST = """
output = "out"
[data]
train = "train.jsonl"
cache = "/somewhere/cache"
[models]
vae = "ae.safetensors"
vision = "siglip.safetensors"
transformer = "flux1-dev.safetensors"
"""


def read(folder: Path, text: str) -> RunSettings:
    (folder / "run.toml").write_text(text, encoding="utf-8")
    return read_settings(folder / "run.toml", RunSettings)


def test_the_defaults_are_the_authors(tmp_path: Path) -> None:
    settings = read(tmp_path, LEAST)
    training = settings.training
    assert (training.trained, training.learning_rate, training.lora_rank) == ("adapter and lora", 1e-4, 128)
    assert (training.precision, training.batch_size, training.steps) == ("bf16", 4, 100_000)
    assert (training.exemplar_dropout, settings.data.long_side, settings.adapter.tokens) == (0.05, 512, 128)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, LEAST)
    assert settings.output == tmp_path / "out"
    assert settings.data.train == tmp_path / "train.jsonl"
    assert settings.data.cache == Path("/somewhere/cache")
    assert settings.models.adapter is None


def test_all_settings_survive_a_file(small_run: SmallRun, tmp_path: Path) -> None:
    assert read(tmp_path, as_toml(small_run.settings)) == small_run.settings


def test_the_shipped_example_is_valid() -> None:
    settings = read_settings(ROOT / "configs" / "small_model.toml", RunSettings)
    assert settings.training.trained == "everything"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("output", "outptu"), r"unknown setting 'outptu'\. Known there: adapter, data"),
        (("[models]", "[models]\nsteps = 3"), r"unknown setting 'models\.steps'"),
        (('output = "out"', ""), r"lacks the setting 'output'"),
        (('"train.jsonl"', "3"), r"'data\.train' in .* is 3; expected a path"),
        (
            ("[models]", "[training]\nsteps = 1.5\n[models]"),
            r"'training\.steps' in .* is 1\.5; expected a whole number",
        ),
        (("[models]", "[training]\nlearning_rate = true\n[models]"), r"is True; expected a number"),
        (("[models]", '[training]\nprecision = "fp8"\n[models]'), r"is 'fp8'; expected one of 'bf16', 'no'"),
        (
            ('output = "out"', 'output = "out"\ndevice = "cuda:1"'),
            r"'device' in .* is 'cuda:1'; expected one of '', 'cpu'",
        ),
        (
            ("[models]", "[training]\nbatch_size = 0\n[models]"),
            r"training\.batch_size is 0; expected a number from 1 on",
        ),
        (
            ("[models]", "[training]\nema = 1.0\n[models]"),
            r"training\.ema is 1\.0; expected a share, from 0 to below 1",
        ),
        (("[models]", "[records]\nkeep = 0\n[models]"), r"records\.keep is 0; expected a number from 1 on"),
        (("[models]", "[models"), r"Cannot read the settings .*Expected a TOML file"),
        (('transformer = "flux1-dev.safetensors"', ""), r"give one: a Flux to start from, or the sizes"),
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read(tmp_path, LEAST.replace(*change))


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    settings = read(tmp_path, LEAST + "[training]\nlearning_rate = 1\n")
    assert settings.training.learning_rate == 1.0
    assert isinstance(settings.training.learning_rate, float)
