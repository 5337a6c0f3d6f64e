"""Libraries that only some commands need."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from types import ModuleType

from relation_core.errors import RelationAdapterError

LEAST = {"diffusers": "0.42", "transformers": "4.56"}
"""Oldest versions that work, by name on PyPI, as in ``pyproject.toml``."""


class MissingLibraryError(RelationAdapterError):
    """An optional library is not installed, or too old."""


def require(module: str, package: str, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: what to import.
        package: its name on PyPI.
        extra: the group of this project's optional dependencies that has it.

    Raises:
        MissingLibraryError: it is not installed, or too old; the message says how to get it.
    """
    try:
        _check(package, _installed(package), extra)
        found = importlib.import_module(module)
    except ImportError as error:
        raise MissingLibraryError(
            f"This needs {package}, which is not installed ({error}). Run `pip install {package}`, or {_all_of(extra)}"
        ) from error
    _check(package, str(getattr(found, "__version__", "")), extra)
    return found


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""  # perhaps a folder on the path


def _check(package: str, found: str, extra: str) -> None:
    wanted = LEAST.get(package)
    if wanted is None or not found or _numbers(found) >= _numbers(wanted):
        return
    raise MissingLibraryError(
        f"This needs {package} {wanted} or newer; found {found}. Run `pip install --upgrade '{package}>={wanted}'`, or "
        f"{_all_of(extra)}"
    )


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _all_of(extra: str) -> str:
    return f"`pip install '.[{extra}]'` in the project's folder for all that this group of commands needs."
