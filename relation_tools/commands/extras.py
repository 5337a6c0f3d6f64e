"""Libraries that only some commands need."""

from __future__ import annotations

import importlib
from types import ModuleType

from relation_core.errors import RelationAdapterError


class MissingLibraryError(RelationAdapterError):
    """An optional library is not installed."""


def require(module: str, package: str, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: what to import.
        package: its name on PyPI.
        extra: the group of this project's optional dependencies that has it.

    Raises:
        MissingLibraryError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibraryError(
            f"This needs {package}, which is not installed ({error}). Run `pip install {package}`, or "
            f"`pip install '.[{extra}]'` in the project's folder for all that this group of commands needs."
        ) from error
