"""Numbers that users choose are finite and in their bounds: on the command line, in settings, in settings files."""

from __future__ import annotations

import argparse
import ast
import importlib
import math
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from relation_core.errors import RelationAdapterError
from relation_core.settings.bounds import COUNT, MAX_FLOAT, SHARE, WEIGHT, Bounds, bounds_of, check_number
from relation_tools.__main__ import GROUPS, build_parser, main
from relation_tools.address import read_place
from relation_tools.commands.number_option import NumberOption
from relation_tools.diffusers_host.shard import read_shard

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ("nan", "-nan", "inf", "-inf", "1e999", "-1e999", "", " ", "\u0661", "1_0", "0x10", "three", "9" * 5000)
"""What is no number for any option."""
VALUES = (math.nan, math.inf, -math.inf, 10**400, -(10**400), "", "1", "\u0661", None, True, [1], np.float32("nan"))
"""What is no number for any setting."""


def options_of(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every option of a parser and of those below it, with the words that lead there."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from options_of(below, (*path, name))
        else:
            yield path, action


def every_option() -> Iterator[tuple[tuple[str, ...], Any]]:
    for group in GROUPS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"relation_tools.commands.{group}").add_commands(parser)
        yield from options_of(parser, (group,))


NUMBERS = [(path, action) for path, action in every_option() if isinstance(action.type, NumberOption)]


def beyond(bounds: Bounds) -> list[float]:
    """Numbers just out of bounds."""
    wrong = [bounds.low if bounds.above else bounds.low - 1] if bounds.low > -MAX_FLOAT else []
    return wrong + ([bounds.high + 1] if bounds.high < MAX_FLOAT else [])


def within(bounds: Bounds) -> list[float]:
    """The first and the last number in bounds."""
    low: Any = math.nextafter(bounds.low, math.inf) if bounds.above else bounds.low
    return [low, bounds.high]


def test_every_number_on_the_command_line_has_bounds() -> None:
    for path, action in every_option():
        name = (*path, *action.option_strings, action.dest)
        assert action.type in (None, Path, read_place, read_shard) or isinstance(action.type, NumberOption), name
        if action.type is None and action.nargs != 0:  # not a switch
            assert not isinstance(action.default, (int, float)), name
    assert {path[0] for path, _ in NUMBERS} == set(GROUPS) - {"weights"}


def test_no_other_command_reads_numbers_on_its_own() -> None:
    """Scripts and benchmarks too."""
    files = [path for folder in ("relation_tools", "scripts", "benchmarks", "comfyui_host") for path in
             (ROOT / folder).rglob("*.py")]  # fmt: skip
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                kinds = [ast.unparse(one.value) for one in node.keywords if one.arg == "type"]
                known = all(
                    kind in ("Path", "read_place", "read_shard") or kind.startswith("NumberOption(") for kind in kinds
                )
                assert known, (
                    path,
                    kinds,
                )


@pytest.mark.parametrize(
    ("path", "action"), NUMBERS, ids=[f"{' '.join(path)} {action.option_strings[0]}" for path, action in NUMBERS]
)
def test_what_is_no_number_ends_a_command_before_it_begins(
    path: tuple[str, ...], action: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds: Bounds = action.type.bounds
    wrong = [*TEXTS, str(10**400), f"-{10**400}", *map(str, beyond(bounds))]
    wrong += ["1.5", "1e3"] if bounds.whole else []
    parse = build_parser(path[:1]).parse_args
    for command, text in [(main, wrong[0]), *((parse, text) for text in wrong)]:
        with pytest.raises(SystemExit) as ended:
            command([*path, f"{action.option_strings[0]}={text}"])
        said = capsys.readouterr().err.splitlines()[-1]
        assert ended.value.code == 2
        assert f"error: argument {'/'.join(action.option_strings)}: got " in said, said
        assert said.endswith(f"; expected {bounds}. Change it.") and len(said) < 300
    for number in within(bounds):
        assert action.type(str(number)) == number
    assert action.default is None or bounds.hold(action.default)


def settings_classes() -> list[type[Any]]:
    """Every dataclass that holds its numbers to bounds, or is called as one that should."""
    found: list[type[Any]] = []
    for path in sorted([*(ROOT / "relation_core").rglob("*.py"), *(ROOT / "relation_tools").rglob("*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if not isinstance(node, ast.ClassDef) or "pydantic" in path.read_text(encoding="utf-8"):
                continue
            text = ast.unparse(node)
            if "check_settings(" in text or node.name.endswith(("Settings", "Options", "Measuring")):
                module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
                found.append(getattr(importlib.import_module(module), node.name))
    return found


SETTINGS = settings_classes()
FIELDS = [(kind, name) for kind in SETTINGS for name in bounds_of(kind)]


def usual(kind: type[Any]) -> Any:
    """Settings with all defaults, and something in the place of paths."""
    return kind(**{one.name: Path() for one in fields(kind) if one.default is MISSING})


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_every_number_in_settings_has_bounds(kind: type[Any]) -> None:
    hints = get_type_hints(kind)
    assert {name for name, hint in hints.items() if hint in (int, float)} == set(bounds_of(kind))
    assert all(bounds.whole == (hints[name] is int) for name, bounds in bounds_of(kind).items())
    assert usual(kind) == usual(kind)


def test_all_settings_were_found() -> None:
    names = {kind.__name__ for kind in SETTINGS}
    assert names >= {"EditSettings", "TuningSettings", "BuildOptions", "LandscapeOptions", "PretrainingOptions"}
    assert names >= {"MeasuringOptions", "LandscapeMeasuring", "RunOptions", "ReportOptions"}


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind.__name__}.{name}" for kind, name in FIELDS])
def test_what_is_no_number_is_refused_in_settings(kind: type[Any], name: str) -> None:
    bounds = bounds_of(kind)[name]
    for value in (*VALUES, *beyond(bounds), *((1.5, 3.0) if bounds.whole else ())):
        with pytest.raises(RelationAdapterError) as refused:
            replace(usual(kind), **{name: value})
        said = str(refused.value)
        assert said.startswith(f"Got {name} = ") and said.endswith(f"; expected {bounds}. Change it.")
        assert len(said) < 250


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        (SHARE, "a number from 0 to 1"),
        (COUNT, "a whole number from 1 to 1000000000"),
        (WEIGHT, "a number of at least 0"),
        (Bounds(0.0, 1e6, above=True), "a number above 0 and at most 1e+06"),
        (Bounds(0.0, above=True), "a number above 0"),
        (Bounds(-0.5, 0.25), "a number from -0.5 to 0.25"),
    ],
)
def test_bounds_say_what_they_are(bounds: Bounds, says: str) -> None:
    assert str(bounds) == says


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, np.float32(0.5), np.float64(0.5), np.int64(1), -0.0])
def test_numbers_of_other_kinds_are_numbers(value: Any) -> None:
    check_number("share", value, SHARE)


def test_the_ends_are_in_bounds_unless_they_say_otherwise() -> None:
    assert SHARE.hold(0) and SHARE.hold(1) and not SHARE.hold(1 + 1e-15) and not SHARE.hold(-5e-324)
    above = Bounds(0.0, 1.0, above=True)
    assert not above.hold(0.0) and above.hold(5e-324) and above.hold(1.0)
    assert COUNT.hold(np.int64(3)) and not COUNT.hold(3.0) and not COUNT.hold(True)
    assert WEIGHT.hold(MAX_FLOAT) and not WEIGHT.hold(math.inf) and not WEIGHT.hold(10**309)
