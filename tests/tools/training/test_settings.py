"""Settings files are read whole, or refused with what is wrong in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import pytest
from small_run import ROOT, SmallRun, as_toml

from relation_tools.training.settings import (
    AdapterSettings,
    DataSettings,
    ModelSettings,
    NewTransformer,
    RecordSettings,
    RunSettings,
    TrainingSettings,
)
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
    settings = read_settings(ROOT / "configs" / "landscapes.toml", RunSettings)
    assert settings.training.trained == "everything"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("output", "outptu"), r"unknown setting 'outptu'\. Did you mean 'output'\? Known there: adapter, data"),
        (
            ("[models]", "[models]\nsteps = 3"),
            r"unknown setting 'models\.steps'\. Known there: adapter, lora, new_transformer",
        ),
        (('output = "out"', ""), r"lacks the setting 'output'"),
        (('"train.jsonl"', "3"), r"'data\.train' in .* is 3; expected a path"),
        (
            ("[models]", "[training]\nsteps = 1.5\n[models]"),
            r"'training\.steps' in .* is 1\.5; expected a whole number",
        ),
        (("[models]", "[training]\nlearning_rate = true\n[models]"), r"is True; expected a number"),
        (("[models]", '[training]\nprecision = "fp8"\n[models]'), r"is 'fp8'; expected 'bf16' or 'no'"),
        (
            ('output = "out"', 'output = "out"\ndevice = "cuda:1"'),
            r"'device' in .* is 'cuda:1'; expected '' or 'cpu'",
        ),
        (("[models]", "[models"), r"Cannot read the settings .*Expected a TOML file"),
        (
            ("[models]", '[training]\ntrained = "everything"\n[models]\nlora = "lora.safetensors"'),
            r"models\.lora is given, and training\.trained is 'everything'; expected .*merge the LoRA into the model",
        ),
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


COUNTS = {
    "data": ("long_side",),
    "models": ("text_tokens",),
    "models.new_transformer": ("heads", "double_blocks", "single_blocks", "text_dim", "pooled_text_dim"),
    "adapter": ("tokens", "projection_dim"),
    "training": ("steps", "batch_size", "accumulate", "warmup", "decay", "lora_rank"),
    "records": (
        *("record_every", "save_every", "keep", "sheet_every", "sheet_samples", "sheet_steps"),
        *("measured_samples", "export_every"),
    ),
}
FROM_ZERO = {"long_side", "warmup", "decay", "measured_samples"}
NUMBERS = {
    "learning_rate": ((0.0, -1e-4), "above 0"),
    "weight_decay": ((-0.01,), "at least 0"),
    "max_gradient": ((0.0, -1.0), "above 0"),
    "guidance": ((-1.0,), "at least 0"),
    "ema": ((-0.1,), "at least 0"),
    "exemplar_dropout": ((-0.1,), "at least 0"),
}
WRONG = [
    *(
        (f"{table}.{name}", value, expected)
        for table, names in COUNTS.items()
        for name in names
        for value, expected in (
            *((-512, f"a number of at least {int(name not in FROM_ZERO)}"),),
            *(((0, "a number of at least 1"),) if name not in FROM_ZERO else ()),
            *((wrong, "a whole number") for wrong in (1.5, "nan", "inf", True, "'8'")),
        )
    ),
    *(
        (f"training.{name}", value, expected)
        for name, (values, bound) in NUMBERS.items()
        for value, expected in (
            *((value, f"a number {bound}") if bound.startswith("above") else (value, bound) for value in values),
            *((wrong, "a finite number") for wrong in ("nan", "inf", "-inf")),
            *((wrong, "a number") for wrong in (True, "'8'")),
        )
    ),
    *((f"training.{name}", 1.0, "a number below 1") for name in ("ema", "exemplar_dropout")),
    *(
        (f"training.{name}", wrong, "true or false")
        for name in ("gradient_checkpointing", "compile")
        for wrong in (1, "'yes'")
    ),
    *((name, wrong, "a path") for name in ("data.train", "models.vae", "output") for wrong in (3, True)),
    *((name, 3, "a table") for name in ("training", "models.new_transformer")),
    *(("seed", value, expected) for value, expected in ((-1, "at least 0"), (0.5, "a whole number"))),
]


def least() -> dict[str, Any]:
    """The least that a run needs, with sizes of a new model."""
    sizes = {"heads": 1, "double_blocks": 1, "single_blocks": 1, "text_dim": 8}
    return {
        "output": "'out'",
        "data": {"train": "'train.jsonl'", "cache": "'cache'"},
        "models": {"vae": "'ae'", "vision": "'siglip'", "new_transformer": sizes},
    }


def written(table: dict[str, Any]) -> str:
    """An inline table of TOML, or at the top its lines."""
    return ", ".join(f"{name} = {literal(value)}" for name, value in table.items())


def literal(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{written(value)}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_every_setting_has_a_kind_and_bounds(tmp_path: Path, name: str, value: object, expected: str) -> None:
    settings = table = least()
    *tables, last = name.split(".")
    for inner in tables:
        table = table.setdefault(inner, {})
    table[last] = value
    text = "\n".join(f"{key} = {literal(value)}" for key, value in settings.items())
    with pytest.raises(SettingsError, match=rf"^'{name}' in .* is .*; expected .*{expected}\.$"):
        read(tmp_path, text)


def test_the_table_names_every_number() -> None:
    """A number that is added to the settings comes with its bounds, and they are tested."""
    tested = {name for name, _, _ in WRONG}
    numbers = {"seed"}
    settings = {"data": DataSettings, "models": ModelSettings, "models.new_transformer": NewTransformer}
    settings |= {"adapter": AdapterSettings, "training": TrainingSettings, "records": RecordSettings}
    for table, kind in settings.items():
        hints = get_type_hints(kind)
        numbers |= {f"{table}.{name}" for name, hint in hints.items() if hint in (int, float)}
    assert numbers <= tested
