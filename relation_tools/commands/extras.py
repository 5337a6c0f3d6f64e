"""Libraries that only some commands need."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from types import ModuleType

from relation_core.errors import RelationAdapterError

LEAST = {"diffusers": "0.42", "pydantic": "2.4", "transformers": "4.56"}
"""Oldest versions that work, by the name on PyPI; ``pyproject.toml`` has the same."""
PACKAGES = {"PIL": "pillow", "skimage": "scikit-image"}
"""Names on PyPI of modules that are called otherwise."""
PICTURES = ("numpy", "PIL", "tqdm")
"""What every command on pictures needs."""
HEADLESS = (*PICTURES, "einops", "safetensors", "torch", "transformers", "diffusers", "accelerate", "peft")
"""What the headless engine is made of."""
TRAINING = (*HEADLESS, "pydantic", "matplotlib")


class MissingLibraryError(RelationAdapterError):
    """An optional library is not installed, too old, or broken."""


def require(extra: str, *modules: str) -> None:
    """Check as :func:`find` does that optional libraries are there and new enough, and import them.

    Raises:
        MissingLibraryError: one is missing, too old or broken; the message says how to get it.
    """
    find(extra, *modules)
    for module in modules:
        _import(module, extra)


def find(extra: str, *modules: str) -> None:
    """Check that optional libraries are there and new enough, without the seconds that it takes to import them.

    Args:
        extra: the group of this project's optional dependencies that has them.
        modules: what is imported.

    Raises:
        MissingLibraryError: one is missing or too old; the message says how to get it.
    """
    packages = [PACKAGES.get(module, module) for module in modules]
    missing = [package for module, package in zip(modules, packages, strict=True) if not _is_there(module)]
    if missing:
        raise MissingLibraryError(_needed(missing, "not installed", " ".join(missing), extra))
    for package in packages:
        if package in LEAST:  # to look up a version takes milliseconds
            _check(package, _installed(package), extra)


def imported(module: str, extra: str) -> ModuleType:
    """Check an optional library as :func:`require` does, and give it."""
    require(extra, module)
    return _import(module, extra)


def _import(module: str, extra: str) -> ModuleType:
    package = PACKAGES.get(module, module)
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise MissingLibraryError(_needed([package], f"not installed whole ({error})", package, extra)) from error
    _check(package, str(getattr(found, "__version__", "")), extra)
    return found


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


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


def _needed(packages: Sequence[str], how: str, wanted: str, extra: str) -> str:
    which = "which is" if len(packages) == 1 else "which are"
    return f"This needs {', '.join(packages)}, {which} {how}. Run `pip install {wanted}`, or {_all_of(extra)}"


def _all_of(extra: str) -> str:
    return f"`pip install '.[{extra}]'` in the project's folder for all that this group of commands needs."
