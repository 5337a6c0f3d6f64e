"""Every setting is described in its dataclass alone; the help and the documentation's table are made of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Literal

import pytest
from small_run import ROOT

from relation_tools.__main__ import main
from relation_tools.training.settings_table import Setting, settings_help, settings_of, settings_table

DOCUMENTED = ROOT / "docs" / "training.md"


@dataclass
class Inner:
    size: int
    """In pixels,
    of a side."""


@dataclass
class Outer:
    name: str
    """What it is called."""
    inner: Inner
    more: Inner | None = None
    kind: Literal["one", "two"] = "two"
    """Which."""
    kinds: tuple[Literal["a", "b"], ...] = ()
    on: bool = True
    inner_default: Inner = field(default_factory=lambda: Inner(3))


def test_settings_are_read_from_dataclasses() -> None:
    assert list(settings_of(Outer)) == [
        Setting("name", "required", "What it is called."),
        Setting("kind", "two", "`one` or `two`. Which."),
        Setting("kinds", "[]", "`a` or `b`."),
        Setting("on", "true", ""),
        Setting("inner.size", "required", "In pixels, of a side."),
        Setting("more.size", "required in this table", "In pixels, of a side."),
        Setting("inner_default.size", "required", "In pixels, of a side."),
    ]


def test_every_setting_has_a_meaning() -> None:
    settings = list(settings_of())
    assert len(settings) > 40 and not [one.name for one in settings if not one.meaning.endswith(".")]


def test_the_documentation_has_the_same_table() -> None:
    fresh = "python -c 'from relation_tools.training.settings_table import settings_table; print(settings_table())'"
    assert settings_table() in DOCUMENTED.read_text(encoding="utf-8"), f"put there what `{fresh}` prints"


def test_the_help_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = capsys.readouterr().out
    assert said.endswith(settings_help())
    assert "  training.learning_rate = 0.0001\n    Of AdamW.\n" in said and "  data.train (required)\n" in said
    assert max(map(len, said.splitlines())) <= 104


def test_a_wrong_call_does_not_list_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relation_tools", "train"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "CONFIG.toml" in done.stderr and "learning_rate" not in done.stderr
