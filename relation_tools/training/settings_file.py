"""Reads a TOML file into dataclasses, and refuses what they do not know."""

from __future__ import annotations

import importlib
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

from relation_core.errors import RelationAdapterError
from relation_core.files.json_file import read_text

Settings = TypeVar("Settings")
_BYTES = 1 << 20
"""The most that is read of a settings file."""


class SettingsError(RelationAdapterError):
    """A settings file says something that has no meaning."""


def read_settings(file: Path, of: type[Settings]) -> Settings:
    """Read a TOML file whose tables are the fields of a dataclass of dataclasses.

    Paths in it are relative to the file's folder.

    Raises:
        SettingsError: the file cannot be read, or holds an unknown name, a value of another kind, or lacks one.
    """
    try:
        table = _parse(read_text(file, _BYTES))
    except (OSError, ValueError) as error:  # tomllib's own error is a ValueError
        raise SettingsError(f"Cannot read the settings '{file}': {error}. Expected a TOML file.") from error
    return _build(of, table, file, "")


def _parse(text: str) -> dict[str, Any]:
    try:
        return _toml().loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _toml() -> Any:
    try:
        return importlib.import_module("tomllib")
    except ImportError:  # Python 3.10
        return importlib.import_module("tomli")


def _build(of: type[Any], table: dict[str, Any], file: Path, place: str) -> Any:
    kinds = get_type_hints(of)
    known = {field.name: field for field in fields(of)}
    unknown = sorted(table.keys() - known.keys())
    if unknown:
        raise SettingsError(
            f"'{file}' has an unknown setting '{place}{unknown[0]}'. Known there: {', '.join(sorted(known))}."
        )
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in table:
            values[name] = _value(kinds[name], table[name], file, f"{place}{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise SettingsError(
                f"'{file}' lacks the setting '{place}{name}'. Add it; docs/training.md tells what it is."
            )
    return of(**values)


def _value(kind: Any, value: Any, file: Path, place: str) -> Any:
    options = get_args(kind)
    if options and not isinstance(options[0], type):  # one of some words
        if value in options:
            return value
        raise SettingsError(f"'{place}' in '{file}' is {value!r}; expected one of {', '.join(map(repr, options))}.")
    kind = next((option for option in options if option is not type(None)), kind)  # X | None
    if is_dataclass(kind) and isinstance(value, dict):
        return _build(cast("type[Any]", kind), cast("dict[str, Any]", value), file, f"{place}.")
    if kind is Path and isinstance(value, str):
        return file.parent / value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        expected = "a table" if is_dataclass(kind) else _WORDS.get(kind, "something else")
        raise SettingsError(f"'{place}' in '{file}' is {value!r}; expected {expected}.")
    return value


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
