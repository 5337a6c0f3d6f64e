"""All settings of a run with their defaults and meanings, read from the dataclasses that define them."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from .settings import RunSettings

_INDENT = " " * 4


@dataclass(frozen=True)
class Setting:
    """A setting."""

    name: str
    """Dotted, as in a settings file."""
    default: str
    """As in a settings file; empty where nothing is the default, ``required`` where there is none."""
    meaning: str
    """Its docstring, after the values that it takes where they are few."""


def settings_of(of: type[Any] = RunSettings, table: str = "", needed: str = "required") -> Iterator[Setting]:
    """List the settings of a table and of those in it, in their order; those that are no table come first.

    Args:
        of: the table's dataclass.
        table: its name and a dot; empty for the whole file.
        needed: what stands for the default of a setting that has none.
    """
    hints, meanings = get_type_hints(of), _docstrings(of)
    inner = {one.name: table_of for one in fields(of) if (table_of := _table(hints[one.name])) is not None}
    for one in fields(of):
        if one.name not in inner:
            choices = " or ".join(f"`{value}`" for value in _choices(hints[one.name]) if value)
            meaning = " ".join(part for part in (choices and f"{choices}.", meanings.get(one.name, "")) if part)
            yield Setting(table + one.name, _default(one, needed), meaning)
    for name, kind in inner.items():
        may_lack = type(None) in get_args(hints[name])
        yield from settings_of(kind, f"{table}{name}.", "required in this table" if may_lack else "required")


def settings_help(width: int = 100) -> str:
    """The settings as text for a terminal."""
    lines = ["settings in the file, with their defaults:"]
    for setting in settings_of():
        needed = setting.default.startswith("required")
        default = f" ({setting.default})" if needed else f" = {setting.default}"
        lines.append(f"  {setting.name}{default if setting.default else ''}")
        meaning = setting.meaning.replace("`", "")
        lines += textwrap.wrap(meaning, width, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    """The settings as a table in Markdown."""
    rows = [f"| `{one.name}` | {one.default} | {one.meaning} |" for one in settings_of()]
    return "\n".join(("| setting | default | |", "| --- | --- | --- |", *rows)) + "\n"


def _default(one: Field[Any], needed: str) -> str:
    if one.default is MISSING:
        return needed
    if one.default is None:
        return ""
    if isinstance(one.default, tuple):
        return str(list(cast("tuple[object, ...]", one.default)))
    return str(one.default).lower() if isinstance(one.default, bool) else str(one.default)


def _table(hint: Any) -> type[Any] | None:
    """The dataclass of a table, which may be left out; None for another setting."""
    return next((kind for kind in (hint, *get_args(hint)) if is_dataclass(kind) and isinstance(kind, type)), None)


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a ``Literal``, alone or in a tuple."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((get_args(kind) for kind in get_args(hint) if get_origin(kind) is Literal), ())


def _docstrings(of: type[Any]) -> dict[str, str]:
    """The texts below a class's fields."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    body = cast("ast.ClassDef", definition).body
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            value = text.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field.target.id] = " ".join(inspect.cleandoc(value.value).replace("``", "`").split())
    return found
