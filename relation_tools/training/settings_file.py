"""Reads a TOML file into pydantic's dataclasses, and refuses what they do not know."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from relation_core.errors import RelationAdapterError
from relation_core.files.json_file import check_depth, read_text
from relation_core.settings.bounds import shortened_value

Settings = TypeVar("Settings")
_BYTES, _LONGEST_LINE = 1 << 16, 1 << 12
"""The most that is read of a settings file, and of a line of it: the time that TOML takes grows faster than a line."""

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "path_type": "a path",
    "dataclass_type": "a table",
    "literal_error": "{expected}",
    "greater_than_equal": "a number of at least {ge:g}",
    "greater_than": "a number above {gt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "less_than": "a number below {lt:g}",
}
"""What was expected, by pydantic's kinds of errors and with their contexts."""


class SettingsError(RelationAdapterError):
    """A settings file says something that has no meaning."""


def read_settings(file: Path, of: type[Settings]) -> Settings:
    """Read a TOML file whose tables are the fields of a dataclass of dataclasses.

    Paths in it are relative to the file's folder.

    Raises:
        SettingsError: the file cannot be read, or holds an unknown name, a value of another kind or out of its
            bounds, or lacks one.
    """
    try:
        table = _parse(read_text(file, _BYTES))
    except (OSError, ValueError) as error:  # tomllib's own error is a ValueError
        raise SettingsError(f"Cannot read the settings '{file}': {error}. Expected a TOML file.") from error
    try:
        return TypeAdapter(of).validate_python(table, context=file.parent)
    except ValidationError as error:
        errors = error.errors()
        first = next((one for one in errors if one["type"] == "unexpected_keyword_argument"), errors[0])
        raise SettingsError(_message(first, file, of)) from error


def _parse(text: str) -> dict[str, Any]:
    if max(map(len, text.splitlines()), default=0) > _LONGEST_LINE:
        raise ValueError(f"it has a line of more than {_LONGEST_LINE:,} letters")
    try:
        table: dict[str, Any] = _toml().loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_depth(table)
    return table


def _toml() -> Any:
    try:
        return importlib.import_module("tomllib")
    except ImportError:  # Python 3.10
        return importlib.import_module("tomli")


def _message(error: ErrorDetails, file: Path, of: type[Any]) -> str:
    """What is wrong, where it is, and what was expected."""
    names = [str(name) for name in error["loc"]]
    place, context = ".".join(names), error.get("ctx", {})
    if error["type"] == "unexpected_keyword_argument":
        known = _known(of, names[:-1])
        near = get_close_matches(names[-1], known, 1)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        return f"'{file}' has an unknown setting '{place}'. {hint}Known there: {', '.join(known)}."
    if error["type"] == "missing":
        return f"'{file}' lacks the setting '{place}'. Add it; docs/training.md tells what it is."
    if error["type"] == "value_error":  # of a whole table
        return f"'{place}' in '{file}': {context['error']}"
    expected = _EXPECTED.get(error["type"], error["msg"]).format(**context)
    return f"'{place}' in '{file}' is {shortened_value(error['input'])}; expected {expected}."


def _known(of: type[Any], tables: list[str]) -> list[str]:
    """Names of the settings of a table."""
    for table in tables:
        hint = get_type_hints(of)[table]
        of = cast("type[Any]", next((option for option in get_args(hint) if is_dataclass(option)), hint))  # X | None
    return sorted(field.name for field in fields(of))
