"""Holds the numbers that a node gets to what its schema says.

ComfyUI compares the values of widgets with ``min`` and ``max``, which lets NaN pass; what another node sends over a
link is compared with nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from comfy_api.latest import io

from ..relation_core.settings.bounds import MAX_FLOAT, Bounds, check_number

REMEDY = "Change it, or the node that sends it."


def numbers_checked(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
    """Decorate a node's ``execute``, under ``@classmethod``, so that it refuses numbers out of their inputs' bounds.

    Raises:
        RelationAdapterError: one is NaN, infinite, out of its range, or a fraction where a whole number is expected.
    """
    signature = inspect.signature(execute)

    @wraps(execute)
    def checked(cls: type[io.ComfyNode], *args: Any, **inputs: Any) -> io.NodeOutput:
        given = signature.bind(cls, *args, **inputs).arguments
        for name, bounds in input_bounds(cls).items():
            if name in given:
                check_number(name, given[name], bounds, remedy=REMEDY)
        return execute(cls, *args, **inputs)

    return checked


def input_bounds(node: type[io.ComfyNode]) -> dict[str, Bounds]:
    """The bounds of a node's numbers, by input.

    The host has the schema already where it runs a node; to define it again may look through folders.
    """
    schema = node.SCHEMA or node.define_schema()
    numbers = [one for one in schema.inputs if isinstance(one, (io.Int.Input, io.Float.Input))]
    return {
        one.id: Bounds(
            -MAX_FLOAT if one.min is None else one.min,
            MAX_FLOAT if one.max is None else one.max,
            whole=isinstance(one, io.Int.Input),
        )
        for one in numbers
    }
