"""Options of commands whose work Ray can divide."""

from __future__ import annotations

import argparse
from typing import Any

from relation_core.errors import RelationAdapterError, printable
from relation_core.settings.bounds import COUNT

from ..spread.cluster import LOCAL
from .extras import find, require
from .number_option import NumberOption

EXTRA = "ray"


def add_ray(group: Any, usual: str = "one a graphics card; without cards, one a machine") -> None:
    """Add the options; ``usual`` says how many workers there are if nothing else is said."""
    group.add_argument(
        "--ray",
        nargs="?",
        const=LOCAL,
        metavar="ADDRESS",
        help="divide the work by Ray: on this machine, or on the cluster at ADDRESS",
    )
    group.add_argument(
        "--workers",
        type=NumberOption(COUNT),
        metavar="NUMBER",
        help=f"Ray's processes ({usual})",
    )


def check_ray(options: argparse.Namespace) -> None:
    """Check the options, and that Ray is there where it is wanted.

    Raises:
        RelationAdapterError: there are workers without Ray, one card for all of them, or Ray is not installed.
    """
    if options.ray is not None:
        device = getattr(options, "device", "auto")
        if device not in ("auto", "cuda", "cpu"):
            raise RelationAdapterError(
                f"--device {printable(device)} is given with --ray, which gives each worker a card of its own. Leave "
                "--device out, or give cpu."
            )
        find(EXTRA, "ray")  # which is imported once its environment is set
        require(EXTRA, "pyarrow")
    elif options.workers is not None:
        raise RelationAdapterError("--workers is given without --ray, which starts them. Add --ray.")
